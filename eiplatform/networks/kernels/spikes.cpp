// Dense layers of spikes: rows of weights are added where there is a spike, in place of products with
// zeros.  spikes.py has the words and calls this file; compiled.py compiles it.
//
// Sums run over the spikes in their order, in float32, whatever the number of threads.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// Accumulators that fit into the registers of AVX2: twelve of eight columns.
constexpr int64_t LANES = 8, DEEP = 12, WIDE = LANES * DEEP;
typedef float Lanes __attribute__((vector_size(32)));

// Of each line, which of its values are not zero.
struct Lists {
    std::vector<int64_t> first;
    std::vector<int32_t> place;
    std::vector<float> value;
    bool ones = true;

    // Lines are rows of x or, transposed, its columns.
    Lists(const float* x, int64_t n_rows, int64_t n_columns, int64_t n_found, bool transposed)
        : first((transposed ? n_columns : n_rows) + 1), place(n_found + 1), value(n_found + 1) {
        if (!transposed) {
            int64_t n = 0;
            for (int64_t r = 0; r < n_rows; r++) {
                for (int64_t c = 0; c < n_columns; c++) {
                    const float here = x[r * n_columns + c];
                    place[n] = static_cast<int32_t>(c);
                    value[n] = here;
                    n += here != 0;
                }
                first[r + 1] = n;
            }
        } else {
            std::vector<int32_t> next(n_columns);
            for (int64_t r = 0; r < n_rows; r++)
                for (int64_t c = 0; c < n_columns; c++) next[c] += x[r * n_columns + c] != 0;
            for (int64_t c = 0; c < n_columns; c++) {
                first[c + 1] = first[c] + next[c];
                next[c] = static_cast<int32_t>(first[c]);
            }
            for (int64_t r = 0; r < n_rows; r++)
                for (int64_t c = 0; c < n_columns; c++) {
                    const float here = x[r * n_columns + c];
                    if (here == 0) continue;
                    place[next[c]] = static_cast<int32_t>(r);
                    value[next[c]++] = here;
                }
        }
        for (int64_t i = 0; i < n_found; i++) ones = ones && value[i] == 1;
    }
};

// Sum the lines of a table (of WIDE columns) that a list names.
template <bool ones>
void sum_lines(const Lists& lists, int64_t line, const float* table, float* to) {
    Lanes sum[DEEP] = {};
    for (int64_t i = lists.first[line]; i < lists.first[line + 1]; i++) {
        const float* from = table + lists.place[i] * WIDE;
        const float factor = lists.value[i];
#pragma GCC unroll 12
        for (int64_t d = 0; d < DEEP; d++) {
            Lanes part;
            std::memcpy(&part, from + d * LANES, sizeof part);
            sum[d] += ones ? part : part * factor;
        }
    }
    std::memcpy(to, sum, sizeof sum);
}

// Do this for all pairs, in an order in which both transposed matrices stay in the cache.
template <class Work> void in_tiles(int64_t n_columns, int64_t n_lines, Work work) {
    for (int64_t first = 0; first < n_lines; first += 16)
        for (int64_t c = 0; c < n_columns; c++)
            for (int64_t k = first; k < std::min(first + 16, n_lines); k++) work(c, k);
}

// For every block of columns: fill(block, n, table), sum all lines, empty(block, n, sums).
template <class Fill, class Empty>
void in_blocks(const Lists& lists, int64_t n_table, int64_t n_columns, int64_t n_threads, Fill fill, Empty empty) {
    const int64_t n_blocks = (n_columns + WIDE - 1) / WIDE, n_lines = lists.first.size() - 1;
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        std::vector<float> table(n_table * WIDE), sums(n_lines * WIDE);
#pragma omp for schedule(static, 1)
        for (int64_t block = 0; block < n_blocks; block++) {
            const int64_t column = block * WIDE, n = std::min(WIDE, n_columns - column);
            if (n < WIDE) std::fill(table.begin(), table.end(), 0.0f);
            fill(column, n, table.data());
            for (int64_t line = 0; line < n_lines; line++)
                (lists.ones ? sum_lines<true> : sum_lines<false>)(lists, line, table.data(), &sums[line * WIDE]);
            empty(column, n, sums.data());
        }
    }
}

}  // namespace

extern "C" {
int64_t count_spikes(const float* x, int64_t n) {
    int64_t found = 0;
#pragma omp simd reduction(+ : found)
    for (int64_t i = 0; i < n; i++) found += x[i] != 0;
    return found;
}

// out (rows, outputs) = x (rows, inputs) times weight (outputs, inputs), transposed.
void spikes_forward(const float* x, int64_t n_rows, int64_t n_in, const float* weight, int64_t n_out, float* out,
                    int64_t n_found, int64_t n_threads) {
    const Lists lists(x, n_rows, n_in, n_found, false);
    in_blocks(
        lists, n_in, n_out, n_threads,
        [=](int64_t column, int64_t n, float* table) {
            in_tiles(n, n_in, [=](int64_t c, int64_t k) { table[k * WIDE + c] = weight[(column + c) * n_in + k]; });
        },
        [=](int64_t column, int64_t n, const float* sums) {
            for (int64_t r = 0; r < n_rows; r++) std::memcpy(out + r * n_out + column, sums + r * WIDE, n * sizeof(float));
        });
}

// grad_weight (outputs, inputs) = grad (rows, outputs), transposed, times x (rows, inputs).
void spikes_backward(const float* x, int64_t n_rows, int64_t n_in, const float* grad, int64_t n_out, float* grad_weight,
                     int64_t n_found, int64_t n_threads) {
    const Lists lists(x, n_rows, n_in, n_found, true);
    in_blocks(
        lists, n_rows, n_out, n_threads,
        [=](int64_t column, int64_t n, float* table) {
            for (int64_t r = 0; r < n_rows; r++) std::memcpy(table + r * WIDE, grad + r * n_out + column, n * sizeof(float));
        },
        [=](int64_t column, int64_t n, const float* sums) {
            in_tiles(n, n_in, [=](int64_t c, int64_t k) { grad_weight[(column + c) * n_in + k] = sums[k * WIDE + c]; });
        });
}
}
