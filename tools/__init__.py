"""Set-up and local services of this repository; nothing here is shipped."""
