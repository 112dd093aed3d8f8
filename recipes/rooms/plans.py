"""The six kinds of rooms: their furniture and its arrangement."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from furniture import Model
from layout import Piece, Plan, Size
from meshes import Material
from shell import (
    build_shell,
    cut_windows,
    hang,
    hang_images,
    hang_lamp,
    lay_rug,
)
from surfaces import show_screen
from wet import furnish_bathroom, furnish_kitchen

# Room → smallest and largest width and depth, and distance of cameras from their target.
ROOM_SIZES = {
    "bedroom": ((3.4, 4.8), (3.4, 4.8), (2.0, 3.6)),
    "kitchen": ((3.2, 4.6), (2.8, 4.0), (1.7, 3.0)),
    "bathroom": ((2.5, 3.6), (2.4, 3.4), (1.5, 2.8)),
    "living room": ((4.2, 6.0), (4.0, 5.4), (2.2, 3.8)),
    "office": ((3.0, 4.6), (2.8, 4.2), (1.4, 2.4)),
    "dining room": ((3.8, 5.4), (3.6, 5.0), (1.9, 3.2)),
}


def furnish(kind: str, rng: np.random.Generator, models: dict[str, list[Model]]) -> Plan:
    """Furnish a room.

    Args:
        kind: one of `ROOM_SIZES`.
        rng: draws everything.
        models: role → models to choose from.
    """
    (low_w, high_w), (low_d, high_d), distance_m = ROOM_SIZES[kind]
    size = (rng.uniform(low_w, high_w), rng.uniform(low_d, high_d), rng.uniform(2.45, 2.9))
    plan = Plan(rng, models, size, distance_m)
    build_shell(plan, kind)
    FURNISHERS[kind](plan)
    if kind not in ("kitchen", "bathroom"):
        plan.against_wall("door", front=0.6)
    cut_windows(plan, int(rng.integers(0, 3)))
    if not any("hanging" in str(getattr(p.shape, "title", "")).lower() for p in plan.pieces):
        hang_lamp(plan)
    return plan


def furnish_bedroom(plan: Plan) -> None:
    """Place a bed with its head at a wall, nightstands and lamps, wardrobe, chest, rug."""
    side = int(plan.rng.integers(4))
    length = plan.length(side)
    middle = float(np.clip(length * plan.rng.uniform(0.35, 0.65), 1.3, length - 1.3))
    bed = plan.against_wall("bed", side=side, along=middle, key=True, strength=0.6)
    if bed is None:
        return
    for end in (-1, 1):
        if plan.chance(0.85):
            along = middle + end * (bed.size_m[0] / 2 + 0.32)
            table = plan.against_wall("bedside", side=side, along=along, strength=0.3)
            if table and plan.chance(0.8):
                plan.put_on("table_lamp", table)
    if plan.chance(0.7):
        size = (float(plan.rng.uniform(0.6, 1.1)), 0.03, float(plan.rng.uniform(0.4, 0.6)))
        hang(plan, side, middle, 1.5, size)
    wardrobe = plan.against_wall("wardrobe", front=0.5, strength=0.3)
    if wardrobe:
        plan.keys.append(wardrobe)
    dresser = plan.against_wall("dresser", front=0.4, strength=0.3) if plan.chance(0.7) else None
    if dresser:
        plan.put_on(str(plan.rng.choice(["table_lamp", "vase", "toy"])), dresser)
    if plan.chance(0.3):
        plan.against_wall("vanity", front=0.4)
    if plan.chance(0.35):
        plan.stand_in_corner("armchair")
    if plan.chance(0.4):
        plan.stand_in_corner("plant")
    if plan.chance(0.6):
        place = bed.toward(0, 0.5)
        lay_rug(plan, place, (bed.size_m[0] + 1.0, bed.size_m[1] * 0.8), bed.degrees)
    hang_images(plan, int(plan.rng.integers(0, 3)))


def furnish_living_room(plan: Plan) -> None:
    """Place a sofa facing a television across a low table; armchairs, books, a fireplace."""
    side = int(plan.rng.choice([0, 2])) if plan.size_m[1] > 4.4 else int(plan.rng.integers(4))
    length = plan.length(side)
    middle = float(np.clip(length * plan.rng.uniform(0.42, 0.58), 1.45, length - 1.45))
    sofa = plan.against_wall("sofa", side=side, along=middle, key=True, strength=0.6)
    sofa = sofa or plan.against_wall("sofa", key=True, strength=0.6)
    if sofa is None:
        return
    side = round(sofa.degrees / 90) % 4
    across = (side + 2) % 4
    facing = plan.length(across) - middle
    watched = place_media(plan, across, facing)
    if watched and plan.chance(0.5):
        plan.keys.reverse()
    away = sofa.size_m[1] / 2 + float(plan.rng.uniform(0.55, 0.75))
    lay = sofa.toward(0, away)
    lay_rug(plan, lay, (sofa.size_m[0] + 0.4, 1.7), sofa.degrees) if plan.chance(0.7) else None
    table = plan.stand("coffee_table", lay, sofa.degrees, key=True, strength=0.3)
    if table and plan.chance(0.7):
        plan.put_on("vase", table, float(plan.rng.normal(0, 0.1)))
    for end in (-1, 1):
        if plan.chance(0.65):
            place = sofa.toward(end * (sofa.size_m[0] / 2 + 0.5), away + 0.3)
            turned = sofa.degrees - end * float(plan.rng.uniform(50, 100))
            plan.stand("armchair", place, turned, strength=0.5, key=True)
    for _ in range(int(plan.rng.integers(1, 3))):
        plan.against_wall("bookcase", front=0.3, strength=0.3)
    for _ in range(int(plan.rng.integers(1, 3))):
        plan.stand_in_corner("plant")
    plan.against_wall("dresser", front=0.3) if plan.chance(0.3) else None
    hang(plan, side, middle, 1.5, (float(plan.rng.uniform(0.6, 1.3)), 0.03, 0.6))
    hang_images(plan, int(plan.rng.integers(1, 4)))


def place_media(plan: Plan, side: int, along: float) -> Piece | None:
    """Place a television, a wall unit for one or a fireplace at a wall, with books beside it."""
    role = str(plan.rng.choice(["tv_stand", "media_wall", "fireplace"], p=[0.55, 0.3, 0.15]))
    piece = plan.against_wall(role, side=side, along=along, key=True)
    if piece is None:
        return None
    if role == "tv_stand":
        plan.put_on("tv", piece, scale=float(plan.rng.uniform(1.0, 1.4)), overhang=0.7)
    for end in (-1, 1):
        if plan.chance(0.5):
            beside = along + end * (piece.size_m[0] / 2 + 0.6)
            plan.against_wall("bookcase", side=side, along=beside)
    return piece


def furnish_office(plan: Plan) -> None:
    """Place desks with computers and office chairs, filing cabinets, a whiteboard."""
    first = int(plan.rng.integers(4))
    for number in range(int(plan.rng.integers(1, 4))):
        side = (first + number) % 4
        desk = plan.against_wall("desk", side=side, key=True, strength=0.2)
        if desk:
            fit_desk(plan, desk)
            along = desk.size_m[0] / 2 + 0.6
            plan.stand("filing", desk.toward(along, 0.05), desk.degrees)
    for role, share in (("filing", 0.9), ("bookcase", 0.7), ("office_extra", 0.7), ("filing", 0.4)):
        if plan.chance(share):
            plan.against_wall(role, front=0.3)
    if plan.chance(0.5):
        plan.stand_in_corner("plant")
    hang_images(plan, int(plan.rng.integers(0, 3)))


def fit_desk(plan: Plan, desk: Piece) -> None:
    """Place a computer and small items on a desk, a chair in front and a bin beside it."""
    right = float(plan.rng.normal(0, 0.12))
    if plan.chance(0.5):
        put_monitor(plan, desk, right)
    else:
        plan.put_on("computer", desk, right, -0.08)
    for end in (-1, 1):
        plan.put_on("desk_item", desk, end * desk.size_m[0] * 0.36, -0.1, repeats=False)
    for _ in range(int(plan.rng.integers(1, 5))):
        x, y = desk.toward(*plan.rng.uniform(-0.35, 0.35, 2) * desk.size_m[:2])
        paper = Material(rgba=(0.97, 0.97, 0.95, 1))
        size = (0.21, 0.297, float(plan.rng.choice([0.003, 0.02, 0.05])))
        turned = desk.degrees + float(plan.rng.normal(0, 20))
        plan.block(size, (x, y, desk.top_m + 0.001), turned, paper, shadow=True)
    place = desk.toward(right, desk.size_m[1] / 2 + float(plan.rng.uniform(0.15, 0.5)))
    turned = desk.degrees + 180 + float(plan.rng.normal(0, 25))
    plan.stand("office_chair", place, turned, key=True, strength=0.4, check=False)
    if plan.chance(0.5):
        place = desk.toward(desk.size_m[0] / 2 + 0.2, 0.0)
        plan.stand("dustbin", place, desk.degrees)


def put_monitor(plan: Plan, desk: Piece, right: float) -> None:
    """Place a flat screen, switched on, with a keyboard in front, on a desk."""
    dark = Material(rgba=(0.06, 0.06, 0.07, 1), shininess=0.4)
    gray = Material(rgba=(0.25, 0.25, 0.27, 1))
    width = float(plan.rng.uniform(0.45, 0.62))
    top, tall = desk.top_m + 0.001, width * 0.58
    shows = Material(texture_HWC=show_screen(plan.rng), rgba=(1, 1, 1, 1), emission=0.8)

    def place(front: float, height: float) -> Size:
        return (*desk.toward(right, front), top + height)

    plan.block((0.22, 0.16, 0.012), place(-0.15, 0), desk.degrees, dark, shadow=True)
    plan.block((0.05, 0.03, 0.18), place(-0.17, 0), desk.degrees, dark, shadow=True)
    plan.block((width, 0.03, tall), place(-0.14, 0.11), desk.degrees, dark, shadow=True)
    inner = (width - 0.03, 0.004, tall - 0.03)
    plan.block(inner, place(-0.122, 0.125), desk.degrees, shows)
    plan.block((0.44, 0.14, 0.02), place(0.1, 0), desk.degrees, gray, shadow=True)


def furnish_dining_room(plan: Plan) -> None:
    """Place a set table with chairs under a lamp, cupboards and pictures at the walls."""
    width, depth, height = plan.size_m
    center = (width / 2 + plan.rng.normal(0, 0.15), depth / 2 + plan.rng.normal(0, 0.15))
    if plan.chance(0.5):
        lay_rug(plan, center, (2.8, 2.4), 0.0)
    set_table(plan, center, seats=int(plan.rng.integers(2, 4)))
    lamp = plan.choose("hanging_lamp")
    if lamp and plan.chance(0.8):
        size = plan.vary(lamp)
        at = (float(center[0]), float(center[1]), height - size[2])
        plan.add(Piece(shape=lamp, size_m=size, at_m=at))
    for role, share in (("dresser", 0.8), ("bookcase", 0.6), ("fireplace", 0.2)):
        piece = plan.against_wall(role, front=0.2, strength=0.3) if plan.chance(share) else None
        if piece and role == "dresser":
            plan.put_on("vase", piece)
    if plan.chance(0.6):
        plan.stand_in_corner("plant")
    hang_images(plan, int(plan.rng.integers(1, 5)))


def set_table(plan: Plan, center: tuple[float, float], *, seats: int) -> None:
    """Place a table with chairs of one kind around it, plates and a vase on it.

    Args:
        plan: the room.
        center: of the table.
        seats: at each long side, at most.
    """
    model, chair = plan.choose("dining_table"), plan.choose("chair")
    if model is None or chair is None:
        return
    size = plan.vary(model)
    degrees = 90.0 if plan.size_m[1] > plan.size_m[0] else 0.0
    table = plan.stand(
        "dining_table", center, degrees, key=True, strength=0.3, model=model, size_m=size
    )
    if table is None:
        return
    chair_size = plan.vary(chair)
    count = max(1, min(seats, int(size[0] / (chair_size[0] + 0.12))))
    rights = [(i - (count - 1) / 2) * size[0] / count for i in range(count)]
    for right, end in product(rights, (-1, 1)):
        front = end * (size[1] / 2 + float(plan.rng.uniform(0.0, 0.25)))
        turned = degrees + (180 if end > 0 else 0) + float(plan.rng.normal(0, 8))
        plan.stand(
            "chair", table.toward(right, front), turned, model=chair, size_m=chair_size,
            strength=0.4, check=False, key=False,
        )  # fmt: skip
        if plan.chance(0.8):
            plan.put_on("place_setting", table, right, end * (size[1] / 2 - 0.2))
    if plan.chance(0.7):
        for end in (-1, 1):
            place = table.toward(end * (size[0] / 2 + float(plan.rng.uniform(0.05, 0.3))), 0)
            plan.stand(
                "chair", place, degrees - 90 * end, model=chair, size_m=chair_size,
                strength=0.4, check=False,
            )  # fmt: skip
    if plan.chance(0.7):
        plan.put_on("vase", table)


FURNISHERS: dict[str, Callable[[Plan], None]] = {
    "bedroom": furnish_bedroom,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "living room": furnish_living_room,
    "office": furnish_office,
    "dining room": furnish_dining_room,
}
