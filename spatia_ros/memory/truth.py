"""What the memory's kernels compute, in plain torch: the readable truth, and the path to a GPU.

Nothing here is on the frame's path. Tests hold every kernel of :mod:`.fuse`, :mod:`.fold`, :mod:`.splat`,
:mod:`.warp`, :mod:`.sharpen`, :mod:`.overlap` and :mod:`.belief` against its twin here; ``bench/gpu.py`` runs these on CUDA.
All functions work on the device of their inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spatia_ros.memory.belief import CELL_PX, STEPS
from spatia_ros.memory.splat import MAX_SPLAT_PX, NEAR_M
from spatia_ros.memory.warp import ANGLE_FLOOR, TRIES, VOXEL_WEIGHT


def camera_points(xyz: Tensor, T_cam_world: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel coordinates u, v and depth z, each [N], of world points [N, 3]."""
    p = xyz @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    z = p[:, 2]
    safe = torch.where(z == 0, torch.full_like(z, 1e-12), z)
    return intrinsics[0] * p[:, 0] / safe + intrinsics[2], intrinsics[1] * p[:, 1] / safe + intrinsics[3], z


def backproject(depth: Tensor, intrinsics: Tensor, T_world_cam: Tensor) -> Tensor:
    """World points [H, W, 3] of a depth image [H, W], pixel centres at +0.5."""
    h, w = depth.shape
    u = (torch.arange(w, device=depth.device, dtype=depth.dtype) + 0.5 - intrinsics[2]) / intrinsics[0]
    v = (torch.arange(h, device=depth.device, dtype=depth.dtype) + 0.5 - intrinsics[3]) / intrinsics[1]
    vv, uu = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([uu * depth, vv * depth, depth], -1) @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]


def fit_to_fuse(depth: Tensor, min_range_m: float, max_range_m: float, edge_ratio: float) -> Tensor:
    """bool [H, W]: in range, and no known neighbour differs by more than ``edge_ratio`` of depth."""
    fit = (depth > 0) & (depth >= min_range_m) & (depth <= max_range_m)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbour = torch.zeros_like(depth)
        ys, yd = (slice(dy, None), slice(None, -dy)) if dy > 0 else (slice(None, dy or None), slice(-dy, None))
        xs, xd = (slice(dx, None), slice(None, -dx)) if dx > 0 else (slice(None, dx or None), slice(-dx, None))
        neighbour[yd, xd] = depth[ys, xs]
        fit &= (neighbour <= 0) | ((neighbour - depth).abs() <= edge_ratio * depth)
    return fit


def fuse(xyz: Tensor, rgb: Tensor, voxel_m: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Voxel cloud of observations [N, 3]: integer voxels [M, 3] in order, mean position, mean colour, count [M].

    Instead of colours ``rgb`` may be features [N, C].
    """
    voxel = torch.floor(xyz.double() / voxel_m).long()
    voxels, group, count = torch.unique(voxel, dim=0, return_inverse=True, return_counts=True)
    mean_xyz, mean_rgb = (
        torch.zeros(len(voxels), values.shape[1], dtype=torch.float64, device=xyz.device).index_add(0, group, values.double())
        / count[:, None]
        for values in (xyz, rgb)
    )
    return voxels, mean_xyz, mean_rgb, count


def shown(
    points: Tensor, reach: Tensor, grids: Tensor, intrinsics: Tensor, T_cam_world: Tensor, tolerance: float, coarser: float
) -> Tensor:
    """Which of N world points [N, 3] each of K sample grids [K, rows, cols] shows: bool [K, N] (see :mod:`.overlap`)."""
    out = torch.zeros(len(grids), len(points), dtype=torch.bool, device=points.device)
    for k, (grid, K, T) in enumerate(zip(grids, intrinsics, T_cam_world, strict=True)):
        u, v, z = camera_points(points, T, K)
        inside = (reach > 0) & (z > 0) & (z <= coarser * reach) & (u >= 0) & (u < grid.shape[1]) & (v >= 0) & (v < grid.shape[0])
        d = torch.zeros_like(z)
        d[inside] = grid[v[inside].long(), u[inside].long()].to(z.dtype)
        out[k] = (d > 0) & ((z - d).abs() <= tolerance * d)
    return out


def seen_through(
    xyz: Tensor, depth: Tensor, intrinsics: Tensor, T_cam_world: Tensor, margin_m: float, margin_ratio: float
) -> Tensor:
    """bool [N]: points that lie in front of everything the 3x3 pixels around them measured."""
    h, w = depth.shape
    nearest = -torch.nn.functional.max_pool2d(-depth[None, None], 3, stride=1)[0, 0]
    nearest = torch.nn.functional.pad(nearest, (1, 1, 1, 1))
    u, v, z = camera_points(xyz, T_cam_world, intrinsics)
    inside = (z > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
    d = torch.zeros_like(z)
    d[inside] = nearest[v[inside].long(), u[inside].long()]
    return (d > 0) & (z < d - margin_m - margin_ratio * d)


def splat(
    xyz: Tensor, T_cam_world: Tensor, intrinsics: Tensor, width: int, height: int, splat_m: float, max_range_m: float
) -> tuple[Tensor, Tensor]:
    """Depth [H, W] (0 = nothing) and winning point [H, W] (-1 = none) of square splats, nearest first."""
    u, v, z = camera_points(xyz, T_cam_world, intrinsics)
    keep = (z >= NEAR_M) & (z <= max_range_m)
    index = torch.nonzero(keep)[:, 0]
    u, v, z = u[keep], v[keep], z[keep]
    r = (torch.maximum(intrinsics[0], intrinsics[1]) * splat_m / z).clamp(0.5, MAX_SPLAT_PX)
    best = torch.full((height * width,), float("inf"), dtype=z.dtype, device=z.device)
    owner = torch.full((height * width,), -1, dtype=torch.long, device=z.device)
    x0, x1 = torch.ceil(u - r - 0.5).long(), torch.ceil(u + r - 0.5).long()
    y0, y1 = torch.ceil(v - r - 0.5).long(), torch.ceil(v + r - 0.5).long()
    reach = int((x1 - x0).max()) + 1 if len(z) else 0
    places = []
    for dy in range(reach):
        for dx in range(reach):
            x, y = x0 + dx, y0 + dy
            hit = (x < x1) & (y < y1) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            places.append((torch.nonzero(hit)[:, 0], (y * width + x)[hit]))
    for who, where in places:
        best.scatter_reduce_(0, where, z[who], "amin")
    for who, where in places:
        wins = z[who] == best[where]
        owner[where[wins]] = index[who[wins]]
    return torch.where(owner >= 0, best, torch.zeros_like(best)).view(height, width), owner.view(height, width)


def warp(
    depth: Tensor, deepest: Tensor, intrinsics: Tensor, T_world_cam: Tensor, key_rgb: Tensor, key_depth: Tensor,
    key_intrinsics: Tensor, key_T_cam_world: Tensor, tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One keyframe's colour [H, W, 3], depth [H, W] and weight [H, W] in a view (weight 0: it says nothing)."""
    A = key_T_cam_world @ T_world_cam
    z = depth.clone()
    rays = backproject(torch.ones_like(depth), intrinsics, torch.eye(4, dtype=depth.dtype, device=depth.device))
    rate = rays @ A[2, :3]
    waiting, agreed = (z > 0) & (rate > 0.2), torch.zeros_like(z, dtype=torch.bool)
    h, w = key_depth.shape
    for _ in range(TRIES):
        u, v, kz = (t.view(z.shape) for t in camera_points((rays * z[..., None]).view(-1, 3), A, key_intrinsics))
        waiting &= (kz > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
        d = torch.zeros_like(z)
        d[waiting] = key_depth[v[waiting].long(), u[waiting].long()]
        waiting &= (d > 0) & (kz - d <= tolerance * d)
        now = waiting & (d - kz <= tolerance * d)
        agreed |= now
        waiting &= ~now
        z = torch.where(waiting, z + (d - kz) / rate, z)
        waiting &= z <= deepest + tolerance * deepest
    u, v, kz = (t.view(z.shape) for t in camera_points((rays * z[..., None]).view(-1, 3), A, key_intrinsics))
    d = torch.zeros_like(z)
    d[agreed] = key_depth[v[agreed].long(), u[agreed].long()]
    p_view = rays * z[..., None]
    p_key = p_view @ A[:3, :3].T + A[:3, 3]
    view2, key2 = (p_view**2).sum(-1), (p_key**2).sum(-1)
    cos = (view2 + key2 - (A[:3, 3] ** 2).sum()) * 0.5 / (view2 * key2).clamp(min=1e-12).sqrt()
    agreed &= cos > 0.2
    finer = (key_intrinsics[0] / kz * z / intrinsics[0]).clamp(max=1.0)
    weight = torch.where(agreed, (finer / (2 * (1 - cos.clamp(max=1.0)) + ANGLE_FLOOR)) ** 2, torch.zeros_like(z))
    # Bilinear, pixel centres at +0.5, border repeated.
    grid = torch.stack([2 * u / w - 1, 2 * v / h - 1], -1)[None]
    image = key_rgb.to(z.dtype).permute(2, 0, 1)[None]
    colour = torch.nn.functional.grid_sample(image, grid, align_corners=False, padding_mode="border")[0].permute(1, 2, 0)
    return colour * agreed[..., None], torch.where(agreed, z + (d - kz) / rate, torch.zeros_like(z)), weight


def unknown_ray_share(
    depth: Tensor, intrinsics: Tensor, T_world_cam: Tensor, grids: Tensor, key_intrinsics: Tensor, key_T_cam_world: Tensor
) -> Tensor:
    """Share of the way to each cell's farthest pixel that no keyframe saw to be empty: [ceil(H / 4), ceil(W / 4)]."""
    h, w = depth.shape
    padded = torch.nn.functional.pad(depth, (0, -w % CELL_PX, 0, -h % CELL_PX))
    cells = padded.unfold(0, CELL_PX, CELL_PX).unfold(1, CELL_PX, CELL_PX).flatten(2)
    z, place = cells.max(-1)
    rows, cols = z.shape
    x = torch.arange(cols, device=z.device) * CELL_PX + place % CELL_PX
    y = torch.arange(rows, device=z.device)[:, None] * CELL_PX + place // CELL_PX
    fx, fy, cx, cy = intrinsics
    ray = torch.stack([(x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, torch.ones_like(z)], -1)
    unknown = torch.zeros_like(z)
    for step in range(STEPS):
        points = (ray * (z * (step + 0.5) / STEPS)[..., None]).view(-1, 3) @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
        empty = torch.zeros(rows * cols, dtype=torch.bool, device=z.device)
        for grid, K, T in zip(grids, key_intrinsics, key_T_cam_world, strict=True):
            u, v, kz = camera_points(points, T, K)
            inside = (kz > 0) & (u >= 0) & (u < grid.shape[1]) & (v >= 0) & (v < grid.shape[0])
            empty[inside] |= grid[v[inside].long(), u[inside].long()] > 0.98 * kz[inside]
        unknown += ~empty.view(rows, cols)
    return torch.where(z > 0, unknown / STEPS, torch.zeros_like(z))


def sharpened(
    rgb: Tensor, depth: Tensor, sensed: Tensor, deepest: Tensor, intrinsics: Tensor, T_world_cam: Tensor,
    keyframes: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]], witnesses: tuple[Tensor, Tensor, Tensor],
    tolerance: float, most: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """A view [H, W] as keyframes saw it: colour, depth, and whether each pixel is believed (see :mod:`.sharpen`).

    Args:
        keyframes: of each colour [h, w, 3], depth, whether it was measured and whether it is on a rim [h, w], intrinsics
            and T_cam_world. witnesses: the last three arguments of :func:`unknown_ray_share`.
    """
    total, colours, depths = torch.zeros_like(depth), torch.zeros_like(rgb), torch.zeros_like(depth)
    for key_rgb, key_depth, measured, rim, K, T in keyframes:
        colour, z, weight = warp(depth, deepest, intrinsics, T_world_cam, key_rgb, key_depth, K, T, tolerance)
        u, v, _ = (x.view(depth.shape) for x in camera_points(backproject(z, intrinsics, T_world_cam).view(-1, 3), T, K))
        at = v.long().clamp(0, key_depth.shape[0] - 1), u.long().clamp(0, key_depth.shape[1] - 1)
        weight = torch.where((sensed > 0.5) & ~measured[at], torch.zeros_like(weight), weight)
        weight = torch.where(rim[at], weight * (weight.sqrt() * ANGLE_FLOOR) ** 4, weight)
        other = (total > 0) & (weight > 0) & ((z * total - depths).abs() > tolerance * depths)
        fresh, weight = other & (weight >= total), torch.where(other & (weight < total), torch.zeros_like(weight), weight)
        total, depths = torch.where(fresh, 0.0, total) + weight, torch.where(fresh, 0.0, depths) + weight * z
        colours = torch.where(fresh[..., None], 0.0, colours) + weight[..., None] * colour
    z = depths / total.clamp(min=1e-30)
    own = VOXEL_WEIGHT * ((z - depth).abs() <= tolerance * depth)
    spoken, all_said = total > 0, (total + own).clamp(min=1e-30)[..., None]
    rgb = torch.where(spoken[..., None], ((colours + own[..., None] * rgb) / all_said + 0.5).floor(), rgb)
    depth = torch.where(spoken, z, depth)
    share = unknown_ray_share(torch.where(sensed > 0.5, depth, 0.0), intrinsics, T_world_cam, *witnesses)
    cells = share.repeat_interleave(CELL_PX, 0).repeat_interleave(CELL_PX, 1)
    believed = cells[: depth.shape[0], : depth.shape[1]] <= most
    return rgb, depth, believed | ~(sensed > 0.5)
