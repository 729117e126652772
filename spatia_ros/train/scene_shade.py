"""From ray hits to colours: textures with mip-maps, baked light, highlights, sky and the camera's response."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.train.scene_mesh import Mesh
from spatia_ros.types import Float32, Float64, UInt8

MISS = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class TextureStore:
    """Every texture and its mip-maps in one flat array.

    Args:
        texels: uint8 [N, 3].
        levels: int64 [M, L, 3], first texel, height and width of each level (repeated past the last).
        finish: float32 [M, 3], specular strength, shininess, emission.
    """

    texels: UInt8
    levels: np.ndarray
    finish: Float32

    @classmethod
    def of(cls, mesh: Mesh) -> TextureStore:
        """The store of a mesh's materials."""
        chunks, tables, at = [], [], 0
        for material in mesh.materials:
            table = []
            image = np.ascontiguousarray(material.texture)
            while True:
                chunks.append(image.reshape(-1, 3))
                table.append((at, *image.shape[:2]))
                at += len(chunks[-1])
                if min(image.shape[:2]) == 1:
                    break
                image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
            tables.append(table)
        depth = max(map(len, tables))
        levels = np.array([t + [t[-1]] * (depth - len(t)) for t in tables], np.int64)
        finish = np.array([(m.specular, m.shininess, m.emission) for m in mesh.materials], np.float32)
        return cls(np.concatenate(chunks), levels, finish)

    def joined(self, other: TextureStore) -> TextureStore:
        """Both, the other's materials numbered behind this one's."""
        depth = max(self.levels.shape[1], other.levels.shape[1])
        moved = other.levels + np.array([len(self.texels), 0, 0])
        tables = [np.concatenate([t, np.repeat(t[:, -1:], depth - t.shape[1], 1)], 1) for t in (self.levels, moved)]
        return TextureStore(
            np.concatenate([self.texels, other.texels]), np.concatenate(tables), np.concatenate([self.finish, other.finish])
        )


@dataclass(frozen=True, slots=True)
class Look:
    """How the camera sees: fixed for a scene, so that a place looks the same when seen again.

    Args:
        exposure: factor on radiance.
        cast: factor per channel.
        white: radiance after exposure that turns white.
        sky: uint8 [H, W, 3], what rays that hit nothing see; rows from straight up to the horizon.
    """

    exposure: float
    cast: tuple[float, float, float]
    white: float
    sky: UInt8


def texel_density(mesh: Mesh) -> Float32:
    """float32 [F], texels per metre of each face's texture at full resolution."""
    corner = mesh.vertices[mesh.faces]
    world = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
    uv = mesh.uv[mesh.faces]
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    pixels = np.array([m.texture.shape[0] * m.texture.shape[1] for m in mesh.materials])[mesh.material]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) * pixels
    return np.sqrt(area / np.maximum(world, 1e-12)).astype(np.float32)


@njit(cache=True, fastmath=True)
def shade(
    out: np.ndarray, pixels: np.ndarray, prim: np.ndarray, bary: np.ndarray, depth: np.ndarray, rays: np.ndarray, focal: float,
    faces: np.ndarray, normals: np.ndarray, uv: np.ndarray, light_front: np.ndarray, light_back: np.ndarray,
    face_material: np.ndarray, density: np.ndarray, texels: np.ndarray, levels: np.ndarray, finish: np.ndarray,
    to_key: np.ndarray, gain: np.ndarray, white: float, sky: np.ndarray,
) -> None:
    """Write colours 0..1 (gamma 2) of ray hits to ``out`` [P, 3] at the rows ``pixels``.

    Args:
        out: float64 [P, 3]. pixels: int64 [N].
        prim: uint32 [N] face hit or MISS; bary: [N, 2]; depth: [N] z; rays: [N, 3] world directions with z = 1.
        focal: focal length, px. faces: [F, 3]; normals: [V, 3]; uv: [V, 2]; face_material, density: [F].
        light_front, light_back: [V, 3] baked irradiance of both sides. texels, levels, finish: see TextureStore.
        to_key: [3] direction to the brightest light, for highlights. gain: [3] exposure of each channel.
    """
    for k in range(len(pixels)):
        dx, dy, dz = rays[k, 0], rays[k, 1], rays[k, 2]
        length = (dx * dx + dy * dy + dz * dz) ** 0.5
        dx, dy, dz = dx / length, dy / length, dz / length
        if prim[k] == MISS:
            r, g, b = _sky(sky, dx, dy, dz)
            r, g, b = r * r, g * g, b * b
        else:
            f = prim[k]
            a, b_, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wb, wc = bary[k, 0], bary[k, 1]
            wa = 1.0 - wb - wc
            nx, ny, nz = _blend(normals, a, b_, c, wa, wb, wc)
            facing = nx * dx + ny * dy + nz * dz
            side = 1.0 if facing <= 0 else -1.0
            er, eg, eb = _blend(light_front if facing <= 0 else light_back, a, b_, c, wa, wb, wc)
            m = face_material[f]
            footprint = depth[k] / focal * density[f] / max(abs(facing), 0.15) ** 0.5
            u = wa * uv[a, 0] + wb * uv[b_, 0] + wc * uv[c, 0]
            v = wa * uv[a, 1] + wb * uv[b_, 1] + wc * uv[c, 1]
            r, g, b = _texture(texels, levels[m], u, 1.0 - v, footprint)
            hx, hy, hz = to_key[0] - dx, to_key[1] - dy, to_key[2] - dz
            half = max((hx * hx + hy * hy + hz * hz) ** 0.5, 1e-9)
            gloss = max(0.0, side * (nx * hx + ny * hy + nz * hz) / half) ** finish[m, 1] * finish[m, 0]
            glow = finish[m, 2]
            r, g, b = r * r * (er + glow) + gloss * er, g * g * (eg + glow) + gloss * eg, b * b * (eb + glow) + gloss * eb
        p = pixels[k]
        out[p, 0] = _response(r * gain[0], white)
        out[p, 1] = _response(g * gain[1], white)
        out[p, 2] = _response(b * gain[2], white)


@njit(cache=True, fastmath=True)
def _blend(of: np.ndarray, a: int, b: int, c: int, wa: float, wb: float, wc: float) -> tuple[float, float, float]:
    """The [3] values of a triangle's corners at barycentric weights."""
    return (
        wa * of[a, 0] + wb * of[b, 0] + wc * of[c, 0],
        wa * of[a, 1] + wb * of[b, 1] + wc * of[c, 1],
        wa * of[a, 2] + wb * of[b, 2] + wc * of[c, 2],
    )


@njit(cache=True, fastmath=True)
def _response(x: float, white: float) -> float:
    """Reinhard's curve (SIGGRAPH 2002, eq. 4) then gamma 2."""
    return min(1.0, max(0.0, x * (1.0 + x / (white * white)) / (1.0 + x))) ** 0.5


@njit(cache=True, fastmath=True)
def _texture(texels: np.ndarray, levels: np.ndarray, u: float, v: float, footprint: float) -> tuple[float, float, float]:
    """Trilinear lookup, 0..1 per channel."""
    lod = min(max(np.log2(max(footprint, 1e-6)), 0.0), len(levels) - 1.001)
    low = int(lod)
    t = lod - low
    r0, g0, b0 = _bilinear(texels, levels[low], u, v)
    if t < 0.02:
        return r0, g0, b0
    r1, g1, b1 = _bilinear(texels, levels[low + 1], u, v)
    return r0 + t * (r1 - r0), g0 + t * (g1 - g0), b0 + t * (b1 - b0)


@njit(cache=True, fastmath=True)
def _bilinear(texels: np.ndarray, level: np.ndarray, u: float, v: float) -> tuple[float, float, float]:
    start, height, width = level[0], level[1], level[2]
    x, y = (u - np.floor(u)) * width - 0.5, (v - np.floor(v)) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    s, t = x - x0, y - y0
    xa, xb, ya, yb = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    a, b = start + ya * width + xa, start + ya * width + xb
    c, d = start + yb * width + xa, start + yb * width + xb
    wa, wb, wc, wd = (1 - s) * (1 - t) / 255.0, s * (1 - t) / 255.0, (1 - s) * t / 255.0, s * t / 255.0
    return (
        wa * texels[a, 0] + wb * texels[b, 0] + wc * texels[c, 0] + wd * texels[d, 0],
        wa * texels[a, 1] + wb * texels[b, 1] + wc * texels[c, 1] + wd * texels[d, 1],
        wa * texels[a, 2] + wb * texels[b, 2] + wc * texels[c, 2] + wd * texels[d, 2],
    )


@njit(cache=True, fastmath=True)
def _sky(sky: np.ndarray, dx: float, dy: float, dz: float) -> tuple[float, float, float]:
    height, width = sky.shape[0], sky.shape[1]
    y = min(max((1.0 - max(dz, 0.0)) * (height - 1), 0.0), height - 1.001)
    x = (np.arctan2(dy, dx) / (2 * np.pi) % 1.0) * width
    y0, x0 = int(y), int(x)
    t, s = y - y0, x - x0
    xa, xb = x0 % width, (x0 + 1) % width
    out = np.zeros(3)
    for c in range(3):
        top = sky[y0, xa, c] * (1 - s) + sky[y0, xb, c] * s
        low = sky[y0 + 1, xa, c] * (1 - s) + sky[y0 + 1, xb, c] * s
        out[c] = (top * (1 - t) + low * t) / 255.0
    return out[0], out[1], out[2]


@njit(cache=True)
def edges(prim: np.ndarray, face_normals: np.ndarray, obj: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """bool [H, W], pixels beside another object, a crease or a depth step: those to sample more finely.

    Args:
        prim: uint32 [H, W]; face_normals: float32 [F, 3] face normals; obj: int32 [F]; depth: float32 [H, W].
    """
    height, width = prim.shape
    out = np.zeros((height, width), np.bool_)
    for i in range(height):
        for j in range(width):
            for di, dj in ((0, 1), (1, 0)):
                p, q = i + di, j + dj
                if p == height or q == width or prim[i, j] == prim[p, q]:
                    continue
                if _differ(prim[i, j], prim[p, q], face_normals, obj, depth[i, j], depth[p, q]):
                    out[i, j] = True
                    out[p, q] = True
    return out


@njit(cache=True)
def _differ(a: int, b: int, face_normals: np.ndarray, obj: np.ndarray, za: float, zb: float) -> bool:
    if a == MISS or b == MISS or obj[a] != obj[b]:
        return True
    n, m = face_normals[a], face_normals[b]
    return n[0] * m[0] + n[1] * m[1] + n[2] * m[2] < 0.8 or abs(za - zb) > 0.05 * min(za, zb)


def gamma_bytes(colour: Float64) -> UInt8:
    """uint8 of colours 0..1."""
    return (colour * 255.0 + 0.5).astype(np.uint8)
