// The page of an entry only has a theme.

document.addEventListener("DOMContentLoaded", startTheme);
