// Matrix products of float32 by the matrix unit of x86 processors (AMX), which multiplies bfloat16 and
// adds in float32; products.py says what is computed and calls this.
//
// An operand is rounded to one bfloat16, to 2^-9 of a number, or to the sum of two, to 2^-17.  Of the
// four products of two parts each the smallest is left out.  Parts that are zero throughout a tile are
// skipped: spikes are exact in one.

#include <cstdint>

namespace {

// Rows of which those from `first` on lie elsewhere; columns are neighbours.
struct Matrix {
    void* data[2];
    int64_t step[2];  // elements from one row to the next
    int64_t first, n_rows, n_columns;
    int64_t rounded;  // bfloat16, not float32

    template <class Number = float> Number* row(int64_t r) const {
        return r < first ? static_cast<Number*>(data[0]) + r * step[0] : static_cast<Number*>(data[1]) + (r - first) * step[1];
    }
};

// out = a b, or a' and b' where `turn` says so.
struct Product {
    Matrix a, b, out;
    int64_t turn_a, turn_b;
    int64_t n_parts;  // of each operand
    int64_t n_threads;
};

}  // namespace

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t SIDE = 16, DEEP = 32;    // a tile: 16 lines of 32 numbers
constexpr int64_t WIDE = 2 * SIDE;         // lines of a pair
constexpr int64_t FIT = 32;                // tiles along the sums, of a panel
constexpr int64_t CACHE = 1 << 20;         // bytes of a panel: half of the second cache

// One part of each number of a tile.
struct alignas(64) Tile {
    uint32_t row[SIDE][SIDE];  // pairs of bfloat16
};

// Pairs of lines of tiles, for some of the terms of the sums.
struct Panel {
    std::vector<Tile> tiles;    // by pair, place along the sums, one of the two, part
    std::vector<uint8_t> used;  // parts of such two that are not zero
    int64_t n_deep, n_parts;

    void resize(int64_t n_pairs, int64_t deep, int64_t parts) {
        n_deep = deep, n_parts = parts;
        if (int64_t(used.size()) < n_pairs * deep) used.resize(n_pairs * deep);
        if (int64_t(tiles.size()) < 2 * n_pairs * deep * parts) tiles.resize(2 * n_pairs * deep * parts);
    }
    Tile* at(int64_t pair) { return &tiles[2 * pair * n_deep * n_parts]; }
    uint8_t* used_at(int64_t pair) { return &used[pair * n_deep]; }
};

inline __m512 widen(__m512i bits) { return _mm512_castsi512_ps(bits); }

// Take the leading part of 16 numbers off them; return it in the upper halves.
inline __m512i leading(__m512& x) {
    const __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), 16);
    x = _mm512_sub_ps(x, widen(bits));
    return bits;
}

// Round numbers and pair them: neighbours in a row of 32, or in two rows.
inline __m512i in_a_row(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }
inline __m512i in_two_rows(__m512 low, __m512 high) {
    const __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    const __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

inline void transpose(uint32_t (*tile)[SIDE]) {
    __m512i rows[SIDE];
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma GCC unroll 16
    for (int i = 0; i < SIDE; i++) rows[i] = _mm512_load_si512(tile[i]);
#pragma GCC unroll 4
    for (int step = 1; step < SIDE; step *= 2) {
        const __m512i distance = _mm512_set1_epi32(step);
        const __mmask16 odd = _mm512_test_epi32_mask(lane, distance);
        const __m512i low = _mm512_mask_add_epi32(lane, odd, lane, _mm512_set1_epi32(SIDE - step));
        const __m512i high = _mm512_mask_add_epi32(_mm512_add_epi32(lane, distance), odd, lane, _mm512_set1_epi32(SIDE));
#pragma GCC unroll 16
        for (int i = 0; i < SIDE; i++) {
            if (i & step) continue;
            const __m512i a = rows[i], b = rows[i + step];
            rows[i] = _mm512_permutex2var_epi32(a, low, b);
            rows[i + step] = _mm512_permutex2var_epi32(a, high, b);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < SIDE; i++) _mm512_store_si512(tile[i], rows[i]);
}

// The first n lanes of 16.
inline __mmask16 lanes(int64_t n) { return n >= SIDE ? 0xffff : n <= 0 ? 0 : (1u << n) - 1; }

// 32 numbers of a row that are bfloat16 already, or pairs of 16 numbers of two rows.
inline __m512i row_of_32(const Matrix& m, int64_t row, int64_t column) {
    const int64_t n = row < m.n_rows ? m.n_columns - column : 0;
    const __mmask32 mask = n >= DEEP ? 0xffffffff : n <= 0 ? 0 : (1u << n) - 1;
    if (!mask) return _mm512_setzero_si512();
    const uint16_t* at = m.row<uint16_t>(row) + column;
    __builtin_prefetch(at + DEEP);
    return _mm512_maskz_loadu_epi16(mask, at);
}
inline __m512i two_rows(const Matrix& m, int64_t row, int64_t column) {
    __m512i halves[2];
    for (int64_t half = 0; half < 2; half++) {
        const __mmask16 mask = row + half < m.n_rows ? lanes(m.n_columns - column) : 0;
        halves[half] = _mm512_setzero_si512();
        if (!mask) continue;
        const uint16_t* at = m.row<uint16_t>(row + half) + column;
        if (row + half + DEEP < m.n_rows) __builtin_prefetch(at + DEEP * m.step[row + half >= m.first]);
        halves[half] = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at));
    }
    return _mm512_or_si512(halves[0], _mm512_slli_epi32(halves[1], 16));
}

// Pack one tile; return the number of its parts.  `along`: the sums run along the columns of `m`;
// `second`: rows of the tile are pairs of terms (second operand), or else lines (first operand).
int pack(const Matrix& m, bool along, bool second, int n_parts, int64_t line, int64_t deep, Tile* tile) {
    if (m.rounded) {
        for (int64_t i = 0; i < SIDE; i++)
            _mm512_store_si512(tile->row[i], along ? row_of_32(m, line + i, deep) : two_rows(m, deep + 2 * i, line));
        if (along == second) transpose(tile->row);
        return 1;
    }
    __m512 left[SIDE][2];
    for (int64_t i = 0; i < SIDE; i++)
        for (int64_t half = 0; half < 2; half++) {
            const int64_t row = along ? line + i : deep + 2 * i + half, column = along ? deep + half * SIDE : line;
            const __mmask16 mask = row < m.n_rows ? lanes(m.n_columns - column) : 0;
            left[i][half] = mask ? _mm512_maskz_loadu_ps(mask, m.row(row) + column) : _mm512_setzero_ps();
            // The next tile comes from far away.
            const int64_t later = along ? row : row + DEEP;
            if (later < m.n_rows) _mm_prefetch(m.row(later) + column + (along ? DEEP : 0), _MM_HINT_T0);
        }
    for (int part = 0;; part++) {
        const bool last = part == n_parts - 1;
        __m512i rest = _mm512_setzero_si512();
        for (int64_t i = 0; i < SIDE; i++) {
            __m512 low = left[i][0], high = left[i][1];
            if (!last) {
                low = widen(leading(left[i][0]));
                high = widen(leading(left[i][1]));
                rest = _mm512_or_si512(rest, _mm512_or_si512((__m512i)left[i][0], (__m512i)left[i][1]));
            }
            _mm512_store_si512(tile[part].row[i], along ? in_a_row(low, high) : in_two_rows(low, high));
        }
        if (along == second) transpose(tile[part].row);
        if (last || !_mm512_test_epi32_mask(rest, _mm512_set1_epi32(0x7fffffff))) return part + 1;  // but for signs of 0
    }
}

// Pack two lines of tiles from `line` and the term `from` on.
void pack_pair(const Matrix& m, bool along, bool second, int64_t line, int64_t from, int64_t pair, Panel& panel) {
    const int64_t n_parts = panel.n_parts;
    for (int64_t deep = 0; deep < panel.n_deep; deep++) {
        Tile* two = panel.at(pair) + 2 * n_parts * deep;
        int n[2];
        for (int i = 0; i < 2; i++)
            n[i] = pack(m, along, second, n_parts, line + i * SIDE, from + deep * DEEP, two + i * n_parts);
        const int most = std::max(n[0], n[1]);
        for (int i = 0; i < 2; i++) std::memset(two + i * n_parts + n[i], 0, (most - n[i]) * sizeof(Tile));
        panel.used_at(pair)[deep] = most;
    }
}

void configure() {
    alignas(64) uint8_t state[64] = {1};
    for (int i = 0; i < 8; i++) {
        state[16 + 2 * i] = 64;  // bytes per row
        state[48 + i] = SIDE;
    }
    _tile_loadconfig(state);
}

// Two by two tiles of the result, or of what is added to it.
void tile_product(const Matrix& out, bool add, Panel& a, int64_t pair_a, Panel& b, int64_t pair_b, int64_t row, int64_t column) {
    // Where all of them lie in `out` they are read and written in place.
    const bool whole = row + WIDE <= out.n_rows && column + WIDE <= out.n_columns &&
                       (row >= out.first || row + WIDE <= out.first);
    alignas(64) float held[WIDE][WIDE];
    float* to = whole ? out.row(row) + column : held[0];
    const int64_t step = whole ? out.step[row >= out.first] : WIDE, down = SIDE * step, bytes = step * sizeof(float);
    if (whole)  // fetched while the products are formed
        for (int64_t i = 0; i < WIDE; i++)
            for (int64_t j = 0; j <= WIDE; j += SIDE) __builtin_prefetch(to + i * step + j, 1);
    if (add && !whole)
        for (int64_t i = 0; i < WIDE && row + i < out.n_rows; i++)
            std::memcpy(held[i], out.row(row + i) + column, std::min(WIDE, out.n_columns - column) * sizeof(float));
    if (add) {
        _tile_loadd(0, to, bytes);
        _tile_loadd(1, to + SIDE, bytes);
        _tile_loadd(2, to + down, bytes);
        _tile_loadd(3, to + down + SIDE, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const int64_t n = a.n_parts;
    const Tile *left = a.at(pair_a), *right = b.at(pair_b);
    const uint8_t *n_left = a.used_at(pair_a), *n_right = b.used_at(pair_b);
    for (int64_t deep = 0; deep < a.n_deep; deep++, left += 2 * n, right += 2 * n)
        for (int64_t p = 0; p < n_left[deep]; p++) {
            _tile_loadd(4, left[p].row, 64);
            _tile_loadd(5, left[n + p].row, 64);
            for (int64_t q = 0; q < n_right[deep] && p + q < n; q++) {
                _tile_loadd(6, right[q].row, 64);
                _tile_loadd(7, right[n + q].row, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    _tile_stored(0, to, bytes);
    _tile_stored(1, to + SIDE, bytes);
    _tile_stored(2, to + down, bytes);
    _tile_stored(3, to + down + SIDE, bytes);
    if (!whole)
        for (int64_t i = 0; i < WIDE && row + i < out.n_rows; i++)
            std::memcpy(out.row(row + i) + column, held[i], std::min(WIDE, out.n_columns - column) * sizeof(float));
}

}  // namespace

extern "C" {
int64_t product_bytes() { return sizeof(Product); }
// Whether there is a matrix unit and this process may use it.
int has_matrix_unit() {
    const long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

void product(const Product* given) {
    const Product& p = *given;
    const int64_t n_terms = p.turn_a ? p.a.n_rows : p.a.n_columns;
    // Lines of one operand are held for all threads, which go through those of the other; of `a` if it has far fewer.
    const bool holds_a = 2 * p.out.n_rows < p.out.n_columns;
    const int64_t n_held = holds_a ? p.out.n_rows : p.out.n_columns, n_passing = holds_a ? p.out.n_columns : p.out.n_rows;
    const auto pack_lines = [&p](bool of_a, int64_t line, int64_t from, int64_t pair, Panel& panel) {
        of_a ? pack_pair(p.a, !p.turn_a, false, line, from, pair, panel) : pack_pair(p.b, p.turn_b, true, line, from, pair, panel);
    };
    static thread_local Panel common;
    Panel& held = common;
    // Always so many terms at a time: the bits of a row must not depend on how many rows there are.
    for (int64_t from = 0; from < n_terms; from += FIT * DEEP) {
        const int64_t deep = (std::min(FIT * DEEP, n_terms - from) + DEEP - 1) / DEEP;
        const int64_t fit = CACHE / (2 * deep * p.n_parts * sizeof(Tile)), all = (n_held + WIDE - 1) / WIDE;
        const int64_t n_panels = (all + fit - 1) / fit;
        for (int64_t panel = 0; panel < n_panels; panel++) {
            const int64_t first = all * panel / n_panels, n_pairs = all * (panel + 1) / n_panels - first;
            held.resize(n_pairs, deep, p.n_parts);
#pragma omp parallel num_threads(p.n_threads) if (p.n_threads > 1)
            {
                static thread_local Panel passing;
                passing.resize(1, deep, p.n_parts);
                configure();
#pragma omp for schedule(static)
                for (int64_t j = 0; j < n_pairs; j++) pack_lines(holds_a, (first + j) * WIDE, from, j, held);
#pragma omp for schedule(static)
                for (int64_t line = 0; line < n_passing; line += WIDE) {
                    pack_lines(!holds_a, line, from, 0, passing);
                    for (int64_t j = 0; j < n_pairs; j++) {
                        const int64_t other = (first + j) * WIDE;
                        holds_a ? tile_product(p.out, from > 0, held, j, passing, 0, other, line)
                                : tile_product(p.out, from > 0, passing, 0, held, j, line, other);
                    }
                }
                _tile_release();
            }
        }
    }
}
}

#else

extern "C" {
int64_t product_bytes() { return sizeof(Product); }
int has_matrix_unit() { return 0; }
void product(const Product*) {}
}

#endif
