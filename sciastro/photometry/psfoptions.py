"""Options of PSF photometry: how the PSF is learned and stars are found."""

from dataclasses import dataclass

from sciastro.core.options import option
from sciastro.photometry.psffit import FitOptions

__all__ = ["PsfOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfOptions(FitOptions):
    """How the PSF is learned and stars are found."""

    order: int = option(3, "Highest polynomial of the PSF over the field.", low=0, high=3)
    psf_stars: int = option(150, "Most stars that the PSF is learned from.", low=1, high=2000)
    psf_snr: float = option(60.0, "S/N of stars that the PSF is learned from.", low=5.0)
    rounds: int = option(3, "Times that the PSF is improved.", low=1, high=10)
    searches: int = option(2, "Times that the residual is searched for more stars.", low=0, high=10)
    threshold: float = option(5.0, "Least S/N of stars found there.", unit="sigma", low=2.0, high=100.0)
    max_stars: int = option(200_000, "Most stars.", low=1, high=5_000_000)
    total_radius: float = option(
        4.0, "Radius that counts as all the light of a star.", unit="fwhm", low=1.5, high=10.0
    )
    least_snr: float = option(5.0, "Below this S/N a star has a flux and no magnitude.", low=0.0)
    fixed: bool = option(False, "Keep the positions that the stars came with.")
    unseen: bool = option(
        True,
        "Count in errors what companions do that nothing shows; not where the list of stars is complete.",
    )
