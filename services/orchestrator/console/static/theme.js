// Before the first paint: the theme that was chosen here, if one was.
try {
  const theme = localStorage.getItem('tactful-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* private mode */ }
