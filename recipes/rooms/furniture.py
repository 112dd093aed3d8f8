"""The furniture that rooms are made of: the catalog, roles, authors and licenses of 3-D models.

The models are those of Debian's package `sweethome3d-furniture`: archives of OBJ files, each with
a catalog of names, sizes, authors and licenses. `ROLES` assigns models to roles. About a fifth of
each role's models is held out for rooms with unseen furniture.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = Path("debian/usr/share/sweethome3d/furniture")
CATALOG = "PluginFurnitureCatalog.properties"
HELD_OUT_SHARE = 0.2

# Short name of an archive → its file and the license in the package's copyright file.
ARCHIVES = {
    "cc0": ("BlendSwap-CC-0.sh3f", "CC0 1.0"),
    "by": ("BlendSwap-CC-BY.sh3f", "CC BY 3.0"),
    "kator": ("KatorLegaz.sh3f", "CC BY 3.0 US"),
    "scopia": ("Scopia.sh3f", "CC BY 3.0"),
}

# Role → models. Chosen by eye from the catalog's icons.
ROLES = {
    "bed": """cc0/bed1 cc0/bed2 cc0/bed3 cc0/bedWithTexture by/lettoCloud scopia/bed1
        scopia/captains-bed by/juniorBed scopia/children_bed scopia/iron_bed""",
    "bedside": "cc0/bedsideTable2 by/bedsideTable",
    "wardrobe": """cc0/wardrobeWithSlidingDoors by/wardrobe by/wardrobe2 scopia/wardrobe1
        cc0/cupboard""",
    "dresser": "by/chest by/dresserWithDrawers",
    "vanity": "scopia/dressing-table scopia/changing-table",
    "table_lamp": """by/lamp scopia/livingroom_lamp1 scopia/table_lamp scopia/little_lamp1
        scopia/little_lamp2 scopia/little_lamp3""",
    "toy": "cc0/teddyBear cc0/caballito",
    "sofa": """cc0/couch by/couch3 cc0/sofa2 by/sofa2 by/sofa3 kator/mid-century-bench-sofa
        kator/mid-century-sofa scopia/leather_sofa scopia/simple_sofa scopia/sofa_white_beige
        scopia/beige_sofa scopia/beige_sofa_2seats scopia/clear_sofa scopia/burlap_sofa
        cc0/winchesterSofa kator/futon-couch cc0/L_shaped_sofa cc0/sofa cc0/couch2""",
    "armchair": """cc0/armchair2 cc0/modernArmchair by/armchair1 by/fotel kator/mid-century-chair
        scopia/armchair scopia/armchair1 scopia/armchair2 scopia/armchair3 cc0/winchesterArmchair
        by/armChair2 by/leaf_chair""",
    "coffee_table": """by/coffeeTable scopia/coffee-table2 scopia/saloon_table
        scopia/table_wood_and_iron scopia/living_room_table""",
    "tv_stand": "by/tvStand cc0/shelves",
    "tv": "cc0/led_tv scopia/tv scopia/wall-flat-tv",
    "media_wall": "scopia/contemp_living_room scopia/dining_room cc0/televisionCabinet",
    "bookcase": """cc0/bookcase by/bookcase kator/full-bookcase cc0/verticalShelves
        scopia/kids_shelves kator/utility-shelving""",
    "fireplace": "scopia/fireplace1 scopia/fireplace2",
    "plant": """cc0/plant by/decorativePlant cc0/decorativePlant scopia/maceta by/yuccaPlant
        by/mediumIndoorPlant""",
    "vase": """by/tulips cc0/orchids cc0/littlePlant scopia/vase1 scopia/vase2 scopia/vase3
        scopia/jar""",
    "dining_table": """cc0/oakTable cc0/table by/table scopia/table4 scopia/black_table
        scopia/table-with-leaning-feet scopia/wooden_table_office scopia/table-on-trestles
        kator/glass-dining-table scopia/white_kitchen_table scopia/round-table""",
    "chair": """cc0/antiqueChair cc0/chair2 cc0/chair cc0/oakChair cc0/osakaChair cc0/sillaBlanca
        cc0/chairWithCushion by/chair3 by/chair4 by/ella_chair_f by/kitchenChair by/plaidChair
        by/chairWithCushion kator/dining-chair scopia/chair scopia/chair3 scopia/chair4
        scopia/tubular_chair scopia/white_kitchen_chair scopia/plastic_chair""",
    "place_setting": """kator/plate-and-ustensils
        scopia/ensemble-assiette-couteau-fourchette-cuillere-verre""",
    "hanging_lamp": "by/hangingLight kator/hanging-restaurant-light cc0/lamp2",
    "desk": """cc0/lbDesk by/biurko3 by/officeTable by/simpleDesk scopia/kids_desk_table
        scopia/wooden_office_alder_table scopia/kids_wooden_desk
        scopia/wooden_office_pear_table_rect""",
    "computer": "scopia/apple_pc kator/apple-imac-1998 by/laptop kator/apple-ibook-2001",
    "office_chair": "kator/office-chair scopia/office_chair scopia/kids_desk_chair cc0/armchair",
    "filing": "kator/filing-cabinet by/sef-kasa scopia/office_furniture1 scopia/office_box",
    "office_extra": "scopia/water_cooler cc0/whiteBoard",
    "desk_item": """scopia/phone scopia/inkjet_and_scanner_printer scopia/bandeja scopia/penbox
        cc0/desklamp scopia/desk_lamp1 scopia/desk_lamp2""",
    "dustbin": "cc0/dustbin kator/recycling-bin",
    "bath": "by/bath_jay_hardy scopia/corner_bathtub scopia/islandBath",
    "shower": "cc0/showerStall",
    "toilet": "cc0/toiletsUnit by/modernToilet by/toilets_unit_jay_hardy",
    "washbasin": """cc0/washbasin by/washbasin_jay_hardy cc0/modernVanity scopia/bathroom_vanity
        scopia/double_vanity scopia/bathroom1""",
    "towels": "cc0/towel3 scopia/com_bath3 by/bathroomRadiator by/radiatorAndTowels",
    "bidet": "cc0/bidet",
    "basket": "scopia/clothes-basket",
    "tissue": "cc0/toiletPaperDispenser kator/bathroom-tissue",
    "washer": "scopia/clothes_washing_machine scopia/dryer_machine by/washing_machine",
    "fridge": "cc0/largeFridge cc0/refrigerator kator/fridge",
    "stove": "by/largeStove kator/propane-stove",
    "sink": "by/kitchenSink cc0/sinkCabinet",
    "base_unit": """cc0/lowerCabinet cc0/drawersCabinet by/kitchenLowerCabinet
        by/kitchenDrawersCabinet by/kitchenSmallLowerCabinet""",
    "wall_unit": """cc0/upperCabinet cc0/smallUpperCabinet cc0/glassDoorCabinet
        by/kitchenUpperCabinet by/kitchenSmallUpperCabinet by/kitchenGlassDoorCabinet""",
    "hood": "by/hood scopia/kitchenHood cc0/rangeHood",
    "tall_unit": "cc0/highCabinet cc0/doubleOven",
    "island": "by/kitchenIsland cc0/islandExtension",
    "kitchen_item": """by/microwave cc0/coffeeBrewer kator/coffee-maker scopia/toaster
        scopia/bowlWithFruits by/breadBox cc0/kitchenaid scopia/small-oven by/largePan
        scopia/cooker scopia/teapot kator/oil-servers scopia/paperTowelHolder kator/bowl
        by/boiler scopia/spiceTower""",
    "stool": """cc0/silla2 cc0/stool cc0/stool2 scopia/kitchen_stool scopia/bar_chair
        kator/bar-stool""",
    "window": """scopia/window_2x3_regular scopia/window_2x4 kator/window-01 kator/window-08
        kator/window-08-02 scopia/window_2x1_medium_with_large_pane scopia/window_4x1
        scopia/window_4x3""",
    "door": "scopia/door scopia/puerta scopia/glass_door kator/exterior-door-02",
    "curtain": "scopia/curtain",
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of the catalog.

    Args:
        name: short name of the archive and stem of the file, such as "cc0/bed1".
        title: name in the catalog.
        archive: the zip file.
        path: the OBJ file in it.
        size_m: width, depth, height in metres.
        elevation_m: height of its bottom above the floor.
        rotation_33: turns the file's coordinates (y up, z to the front) upright.
        creator: author, from the catalog.
        license: the archive's.
    """

    name: str
    title: str
    archive: Path
    path: str
    size_m: tuple[float, float, float]
    elevation_m: float
    rotation_33: np.ndarray
    creator: str
    license: str


def read_models(work: Path) -> dict[str, Model]:
    """Read the models that have a role, by name.

    Args:
        work: the folder, with the unpacked package.

    Raises:
        KeyError: a role names a model that no catalog has.
    """
    found: dict[str, Model] = {}
    for short, (file, license) in ARCHIVES.items():
        archive = work / SOURCE / file
        with zipfile.ZipFile(archive) as opened:
            text = opened.read(CATALOG).decode("latin-1")
        for entry in read_entries(text):
            model = make_model(short, archive, license, entry)
            found[model.name] = model
    return {name: found[name] for names in ROLES.values() for name in names.split()}


def read_entries(text: str) -> list[dict[str, str]]:
    """Read the numbered entries `key#number=value` of a catalog, each as key → value."""
    entries: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*?)\r?$", text, re.MULTILINE):
        entries.setdefault(number, {})[key] = value
    return list(entries.values())


def make_model(short: str, archive: Path, license: str, entry: dict[str, str]) -> Model:
    """Build a model from a catalog entry, whose lengths are in centimetres."""
    path = entry["model"].lstrip("/")
    width, depth, height = (float(entry[key]) / 100 for key in ("width", "depth", "height"))
    rotation = entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()
    return Model(
        name=f"{short}/{Path(path).stem}",
        title=entry["name"],
        archive=archive,
        path=path,
        size_m=(width, depth, height),
        elevation_m=float(entry.get("elevation", 0)) / 100,
        rotation_33=np.array([float(v) for v in rotation]).reshape(3, 3),
        creator=entry.get("creator", "unknown"),
        license=license,
    )


def split_models(models: dict[str, Model], *, held_out: bool) -> dict[str, list[Model]]:
    """Return role → its models of one side.

    A fifth of each role's models, at least one, is held out: those whose names' sha256 sort first.
    A role with a single model has it on the training side only.
    """
    sides = {}
    for role, names in ROLES.items():
        ordered = sorted(names.split(), key=lambda n: hashlib.sha256(n.encode()).hexdigest())
        count = max(1, round(HELD_OUT_SHARE * len(ordered))) if len(ordered) > 1 else 0
        kept = ordered[:count] if held_out else ordered[count:]
        sides[role] = [models[name] for name in kept]
    return sides


def list_attribution(models: Iterable[Model]) -> list[dict[str, str]]:
    """Return a row per model, sorted by name: name, title, author, license."""
    unique = {model.name: model for model in models}
    return [
        {"model": name, "title": m.title, "author": m.creator, "license": m.license}
        for name, m in sorted(unique.items())
    ]
