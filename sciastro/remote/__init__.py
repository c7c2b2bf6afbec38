"""Everything that needs a network, and nothing else of sciastro does: catalogs, names, solvers, one cache.

No other room imports this one without being asked for something that is not at hand; nothing is fetched on
import, and ``SCIASTRO_OFFLINE=1`` forbids every request.
"""

__all__: list[str] = []
