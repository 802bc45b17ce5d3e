// A wide figure opens in full size, and on a phone scrolls in its own box instead of shrinking.
document.addEventListener("DOMContentLoaded", () => {
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest("a") || image.closest(".sphx-glr-thumbcontainer")) continue;
    const link = Object.assign(document.createElement("a"), { className: "figure-link", href: image.src });
    image.replaceWith(link);
    link.append(image);
  }
});
