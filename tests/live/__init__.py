"""owui-watch as people use it: a process of its own, real files, a real Open WebUI."""
