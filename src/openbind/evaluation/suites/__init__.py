"""The table of suites: data sets in their own layouts, one file each."""

from openbind.registry import Registry

SUITES = Registry(
    "suite",
    "openbind.suites",
    {
        "esc50": "openbind.evaluation.suites.esc50:SUITE",
        "clotho": "openbind.evaluation.suites.clotho:SUITE",
        "imagenet": "openbind.evaluation.suites.imagenet:SUITE",
        "places365": "openbind.evaluation.suites.places365:SUITE",
        "kinetics400": "openbind.evaluation.suites.kinetics400:SUITE",
        "msrvtt": "openbind.evaluation.suites.msrvtt:SUITE",
        "audioset": "openbind.evaluation.suites.audioset:SUITE",
        "vggsound": "openbind.evaluation.suites.vggsound:SUITE",
        "audiocaps": "openbind.evaluation.suites.audiocaps:SUITE",
        "sun_rgbd": "openbind.evaluation.suites.sun_rgbd:SUITE",
        "nyu_depth": "openbind.evaluation.suites.nyu_depth:SUITE",
        "llvip": "openbind.evaluation.suites.llvip:SUITE",
        "roadscene": "openbind.evaluation.suites.roadscene:SUITE",
        "generation": "openbind.evaluation.suites.generation:SUITE",
        "ego4d": "openbind.evaluation.suites.ego4d:SUITE",
        "mosaics": "openbind.evaluation.suites.mosaics:SUITE",
        "vggss": "openbind.evaluation.suites.vggss:SUITE",
        "flickr_soundnet": "openbind.evaluation.suites.flickr_soundnet:SUITE",
        "avsbench": "openbind.evaluation.suites.avsbench:SUITE",
        "desed": "openbind.evaluation.suites.desed:SUITE",
    },
)
