// The page of tasks. While rows still come, it is read again, so that nobody has to.

const AGAIN = 3000; // ms

if (document.querySelector("[data-loading]")) setTimeout(() => location.reload(), AGAIN);
