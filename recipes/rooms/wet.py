"""Kitchens and bathrooms: rooms whose furniture is fixed to the walls."""

from __future__ import annotations

from layout import Piece, Plan, Size, Tint
from meshes import Material
from shell import hang_mirror, lay_rug
from surfaces import draw_color, lay_tiles

COUNTER_M = 0.88


def furnish_kitchen(plan: Plan) -> None:
    """Place a run of units with sink, stove and fridge, wall cabinets; an island or a table."""
    tint = plan.tint("units", strength=0.5)
    for role in ("base_unit", "sink", "wall_unit", "tall_unit", "island"):
        plan.tints[role] = Tint(rgb=tint.rgb)
    side = int(plan.rng.choice([0, 2] if plan.size_m[0] > plan.size_m[1] else [1, 3]))
    wanted = ["fridge", "base_unit", "sink", "stove", "base_unit", "tall_unit", "base_unit"]
    if plan.chance(0.5):
        wanted = ["base_unit", "stove", "base_unit", "sink", "washer", "fridge", "tall_unit"]
    tile_wall(plan, side)
    run = lay_run(plan, side, wanted)
    if plan.chance(0.5):
        second = (side + (1 if plan.chance(0.5) else 3)) % 4
        run += lay_run(plan, second, ["base_unit", "base_unit", "base_unit"], start=0.7)
    for unit in run:
        for right in (-0.2, 0.2):
            if unit.size_m[2] < 1.0 and plan.chance(0.6):
                plan.put_on("kitchen_item", unit, right * unit.size_m[0], -0.1, repeats=False)
    plan.keys.sort(key=lambda piece: piece.size_m[2] > 1.2)  # cameras prefer stove and sink
    x, y = plan.spot(side, plan.length(side) / 2, plan.rng.uniform(2.0, 2.3))
    if plan.chance(0.25):
        island = plan.stand("island", (x, y), 90.0 * side + 180, strength=0.3)
        if island:
            for right in (-0.3, 0.3):
                place = island.toward(right, -island.size_m[1] / 2 - 0.3)
                plan.stand("stool", place, island.degrees)
    if plan.chance(0.4):
        plan.against_wall("door", front=0.6)
    if plan.chance(0.4):
        plan.stand_in_corner("dustbin")


def tile_wall(plan: Plan, side: int) -> None:
    """Tile the wall between units and wall cabinets."""
    rgb = draw_color(plan.rng, 0.0, 0.3, 0.6, 0.97)
    tiles = Material(texture_HWC=lay_tiles(plan.rng, rgb, 8), rgba=(1, 1, 1, 1), shininess=0.3)
    x, y = plan.spot(side, plan.length(side) / 2, 0.001)
    size = (plan.length(side), 0.004, 0.7)
    plan.block(size, (x, y, 0.85), 90.0 * side, tiles, tile_m=(0.8, 0.8))


def lay_run(plan: Plan, side: int, wanted: list[str], start: float = 0.0) -> list[Piece]:
    """Place units side by side along a wall while they fit; return those placed."""
    along, run = start, []
    mirrored = plan.chance(0.5)
    for role in wanted:
        model = plan.choose(role)
        if model is None:
            continue
        width, depth, height = model.size_m
        if role in ("base_unit", "sink", "stove", "washer"):
            height, depth = COUNTER_M * height / min(height, 0.9), 0.61
            height = COUNTER_M if role != "sink" else height
        if role == "fridge" and height < 1.4:
            width, depth, height = 0.68, 0.68, 1.65
        if along + width > plan.length(side):
            continue
        middle = along + width / 2
        middle = plan.length(side) - middle if mirrored else middle
        x, y = plan.spot(side, middle, depth / 2 + 0.005)
        key = role in ("fridge", "sink", "stove")
        piece = Piece(
            shape=model, size_m=(width, depth, height), at_m=(x, y, 0.0), degrees=90.0 * side,
            tint=plan.tints.get(role, Tint()),
        )  # fmt: skip
        if not plan.is_free(piece, margin=-0.005):
            break
        run.append(plan.add(piece, key=key))
        plan.reserve(piece, 0.5)
        hang_over(plan, role, side, middle, width)
        along += width
    return run


def hang_over(plan: Plan, role: str, side: int, along: float, width: float) -> None:
    """Mount a hood over a stove, and usually a cabinet over a unit."""
    over = {"stove": "hood", "base_unit": "wall_unit", "washer": "wall_unit"}.get(role)
    if over and plan.chance(0.85):
        depth = 0.34 if over == "wall_unit" else 0.4
        size: Size = (width, depth, 0.72 if over == "wall_unit" else 0.35)
        plan.against_wall(over, side=side, along=along, elevation=1.5, size_m=size)


def furnish_bathroom(plan: Plan) -> None:
    """Place a bath, a toilet, a basin with a mirror, towels, sometimes a shower and a washer."""
    for tinted in ("bath", "toilet", "washbasin", "bidet"):
        plan.tints[tinted] = Tint()
    side = int(plan.rng.integers(4))
    half = 0.9
    along = half if plan.chance(0.5) else plan.length(side) - half
    bath = plan.against_wall("bath", side=side, along=along, key=True, front=0.3)
    bath = bath or plan.against_wall("bath", key=True, front=0.3)
    basin = plan.against_wall("washbasin", key=True, elevation=None, front=0.5)
    if basin:
        hang_mirror(plan, basin)
    toilet = plan.against_wall("toilet", key=True, front=0.4)
    if toilet:
        place = toilet.size_m[0] / 2 + 0.25
        turned = round(toilet.degrees / 90) % 4
        x, y = toilet.toward(place, -toilet.size_m[1] / 2 + 0.07)
        plan.stand("tissue", (x, y), 90.0 * turned, elevation=0.65, check=True)
    if plan.chance(0.35):
        plan.against_wall("shower", key=True, front=0.3)
    if plan.chance(0.35):
        plan.against_wall("bidet", front=0.3)
    plan.against_wall("towels", strength=0.8)
    if plan.chance(0.3):
        plan.against_wall("washer", front=0.3)
    if plan.chance(0.4):
        plan.stand_in_corner("basket")
    if bath and plan.chance(0.6):
        lay_rug(plan, bath.toward(0, bath.size_m[1] / 2 + 0.35), (0.8, 0.5), bath.degrees)
