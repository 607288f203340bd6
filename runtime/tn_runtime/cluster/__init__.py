"""Work on many machines by Ray; it needs the extra `cluster`.

Its users import `tn_runtime.cluster.MODULE`; nothing else of the runtime imports Ray.
"""
