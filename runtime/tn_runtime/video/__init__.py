"""Video: read, painted shot by shot, written; it needs the extra `video` (PyAV).

Its users import `tn_runtime.video.MODULE`; nothing else of the runtime imports PyAV.
"""
