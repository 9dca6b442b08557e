// The element-wise part of an E-I layer, one pass over memory in each direction; fused.py has the
// mathematics and the words, compiled.py compiles this file and calls it.
//
// A row holds the channels of one place of one sample at one step.  The arithmetic of a row is
// written once for both directions, and neither reordered nor contracted (-ffp-contract=off), so
// that the backward pass finds the voltages of the forward pass to the last bit.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

struct Sequence {
    void* data;    // the first row of the first step; null: absent
    int64_t step;  // elements from one step to the next
};

// Of one signal at (n_places, channels): the sums of its deviations from `shift` and of their squares.
struct Sums {
    void* shift;
    double *sum, *square;  // null: not wanted
};

// As in compiled.py.
struct Block {
    int64_t n_samples, n_places, n_exc;
    int64_t n_channels;  // in a row of the currents: n_exc, then those of the I neurons
    int64_t n_given;     // steps of the currents: n_steps, or one that is held
    int64_t n_steps;
    int64_t n_chunks;  // parts to be worked on in parallel
    int64_t subtractive, stabilised, hard, detach_reset;
    int64_t surrogate;  // as the cases of rewind
    double alpha, threshold, decay;
    const void *gain_exc, *bias, *membrane;
    Sequence currents;
    Sequence mixed;  // rows of W_sub a (if subtractive), then W_div a
    // Forward: to be filled.  Backward: the gradients with respect to them, without inh and div.
    Sequence spikes, voltage, inh, net, div, gain, drive;
    void* last;  // the membrane
    // Forward: of these neurons alone signals are kept, (n_steps, n_samples, n_selected); those at
    // place p are entries first[p] to first[p + 1] of the channels and of the slots.  Null: all.
    int64_t n_selected;
    const int64_t *first, *channel, *slot;
    // Forward with moments: steps from warmup on, every so many.
    int64_t warmup, every;
    Sums exc_sums, inh_sums, net_sums, div_sums, gain_sums, drive_sums, activity_sums, voltage_sums, spikes_sums;
    // Backward alone: to be filled, but the last two (n_chunks, n_exc), which are added to.
    Sequence grad_currents, grad_mixed;
    int64_t rounded;  // whether grad_mixed is bfloat16
    void* grad_membrane;
    double *grad_bias, *grad_gain_exc;
};

enum class BFloat16 : uint16_t {};

inline float load(float value) { return value; }
inline double load(double value) { return value; }
inline float load(BFloat16 value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float all;
    std::memcpy(&all, &bits, 4);
    return all;
}
inline void store(float& to, float value) { to = value; }
inline void store(double& to, double value) { to = value; }
inline void store(BFloat16& to, float value) {  // to the nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to = static_cast<BFloat16>(static_cast<uint16_t>(value != value ? 0x7fc0 : rounded));
}

// exp(x) for x <= 0, to some 2 units in the last place: 2^n exp(r) with |r| <= log(2) / 2.
// Unlike the library's it is the same in every build and becomes vector instructions.
inline float exp_negative(float x) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720; sum = sum * r + 1.0f / 120; sum = sum * r + 1.0f / 24; sum = sum * r + 1.0f / 6;
    sum = sum * r + 1.0f / 2; sum = sum * r + 1.0f; sum = sum * r + 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, 4);
    bits = (bits + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    return sum * power;
}

inline double exp_negative(double x) {
    const double magic = 6755399441055744.0;  // 1.5 * 2^52
    x = x < -708.0 ? -708.0 : x;
    const double shifted = x * 1.4426950408889634 + magic;
    const double n = shifted - magic;
    const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double sum = 1.0 / 6227020800;
    sum = sum * r + 1.0 / 479001600; sum = sum * r + 1.0 / 39916800; sum = sum * r + 1.0 / 3628800;
    sum = sum * r + 1.0 / 362880; sum = sum * r + 1.0 / 40320; sum = sum * r + 1.0 / 5040; sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120; sum = sum * r + 1.0 / 24; sum = sum * r + 1.0 / 6; sum = sum * r + 1.0 / 2;
    sum = sum * r + 1.0; sum = sum * r + 1.0;
    uint64_t bits;
    std::memcpy(&bits, &shifted, 8);
    bits = (bits + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, 8);
    return sum * power;
}

// Derivatives of surrogate.py.
struct Sigmoid {
    template <class Real> static Real derivative(Real x, Real alpha) {
        const Real e = exp_negative(-std::abs(alpha * x)), one = Real(1) + e;
        return alpha * (e / (one * one));
    }
};
struct Atan {
    template <class Real> static Real derivative(Real x, Real alpha) {
        const Real z = Real(1.5707963267948966) * alpha * x;
        return alpha / Real(2) / (Real(1) + z * z);
    }
};
struct FastSigmoid {
    template <class Real> static Real derivative(Real x, Real alpha) {
        const Real z = Real(1) + alpha * std::abs(x);
        return Real(1) / (z * z);
    }
};
struct Triangle {
    template <class Real> static Real derivative(Real x, Real alpha) {
        const Real z = Real(1) - alpha * std::abs(x);
        return alpha * (z < Real(0) ? Real(0) : z);
    }
};
struct Rectangle {
    template <class Real> static Real derivative(Real x, Real alpha) {
        return alpha * std::abs(x) < Real(0.5) ? alpha : Real(0);
    }
};

template <class Value>
Value* row_of(const Sequence& s, int64_t t, int64_t row, int64_t width, Value* absent = nullptr) {
    return s.data ? static_cast<Value*>(s.data) + t * s.step + row * width : absent;
}

// What replaces a zero of the divisive inhibition: the smallest non-zero value of the sample.
template <class Real> Real replacement(const Block& b, int64_t t, int64_t sample) {
    if (!b.stabilised) return 0;
    Real smallest = std::numeric_limits<Real>::infinity();
    const int64_t width = b.n_exc * (1 + b.subtractive);
    for (int64_t place = 0; place < b.n_places; place++) {
        const Real* div = row_of<Real>(b.mixed, t, sample * b.n_places + place, width) + b.n_exc * b.subtractive;
#pragma omp simd reduction(min : smallest)
        for (int64_t c = 0; c < b.n_exc; c++) {
            const Real value = div[c] == 0 ? std::numeric_limits<Real>::infinity() : div[c];
            smallest = value < smallest ? value : smallest;
        }
    }
    return smallest;
}

// What a row at one step is computed from.
template <class Real, class Io> struct Inputs {
    const Io* __restrict exc;
    const Real *__restrict inh, *__restrict div, *__restrict gain_exc, *__restrict bias;
    Real zeros;

    Inputs(const Block& b, int64_t t, int64_t row, Real zeros, const Real* none) : zeros(zeros) {
        exc = row_of<const Io>(b.currents, t, row, b.n_channels);
        const Real* mixed = row_of<const Real>(b.mixed, t, row, b.n_exc * (1 + b.subtractive));
        inh = b.subtractive ? mixed : none;
        div = mixed + b.n_exc * b.subtractive;
        gain_exc = static_cast<const Real*>(b.gain_exc);
        bias = static_cast<const Real*>(b.bias);
    }
};

template <class Real> struct Cell {
    Real net, denominator, gain, drive;

    template <class Io>
    Cell(const Inputs<Real, Io>& from, int64_t c)
        : net(load(from.exc[c]) - from.inh[c]),
          denominator(from.div[c] == 0 ? from.zeros : from.div[c]),
          gain(from.gain_exc[c] / denominator),
          drive(gain * net + from.bias[c]) {}
};

// What is there at every step or not at all; absent, it is zero.
template <class Real> void start(const void* from, int64_t row, int64_t n, Real* to) {
    if (from)
        std::memcpy(to, static_cast<const Real*>(from) + row * n, n * sizeof(Real));
    else
        std::fill_n(to, n, Real(0));
}

// One step of the neurons; `after` is the membrane before it, and then the one after it.
// The drive is computed, or that of the step before is held.
template <bool computed, class Real, class Io>
void advance(const Block& b, const Inputs<Real, Io> from, Real* __restrict drive, Real* __restrict after,
             Real* __restrict voltages, Io* __restrict spikes) {
    const Real decay = b.decay, threshold = b.threshold;
    const bool hard = b.hard;
#pragma omp simd
    for (int64_t c = 0; c < b.n_exc; c++) {
        if (computed) drive[c] = Cell<Real>(from, c).drive;
        const Real voltage = drive[c] + decay * after[c];
        const Real reset = hard ? voltage : threshold;
        after[c] = voltage - (voltage >= threshold ? reset : Real(0));
        voltages[c] = voltage;
        store(spikes[c], voltage >= threshold ? Real(1) : Real(0));
    }
}

// Work off the samples of a block, in chunks of neighbours.
template <class Work> void in_chunks(const Block& b, Work work) {
#pragma omp parallel for schedule(static, 1) num_threads(b.n_chunks) if (b.n_chunks > 1)
    for (int64_t chunk = 0; chunk < b.n_chunks; chunk++)
        work(chunk, chunk * b.n_samples / b.n_chunks, (chunk + 1) * b.n_samples / b.n_chunks);
}

// Write the values f(c) of a row at one step to a signal, where it is asked for.
template <class Real, class Value>
void keep(const Block& b, const Sequence& signal, int64_t t, int64_t row, Value value) {
    if (!signal.data) return;
    if (!b.first) {
        Real* to = row_of<Real>(signal, t, row, b.n_exc);
        for (int64_t c = 0; c < b.n_exc; c++) to[c] = value(c);
        return;
    }
    const int64_t place = row % b.n_places;
    Real* to = row_of<Real>(signal, t, row / b.n_places, b.n_selected);
    for (int64_t j = b.first[place]; j < b.first[place + 1]; j++) to[b.slot[j]] = value(b.channel[j]);
}

// The same for all signals but the voltage.
template <class Real, class Io> void keep_all(const Block& b, int64_t t, int64_t row, const Inputs<Real, Io>& from) {
    keep<Real>(b, b.inh, t, row, [&](int64_t c) { return from.inh[c]; });
    keep<Real>(b, b.net, t, row, [&](int64_t c) { return Cell<Real>(from, c).net; });
    keep<Real>(b, b.div, t, row, [&](int64_t c) { return from.div[c]; });
    keep<Real>(b, b.gain, t, row, [&](int64_t c) { return Cell<Real>(from, c).gain; });
    keep<Real>(b, b.drive, t, row, [&](int64_t c) { return Cell<Real>(from, c).drive; });
}

template <class Real, class Io> void forward(const Block& b) {
    in_chunks(b, [&](int64_t, int64_t first, int64_t end) {
        const int64_t n = b.n_exc;
        const std::vector<Real> none(n);
        std::vector<Real> zeros(b.n_given), held(n), spare(n);
        for (int64_t sample = first; sample < end; sample++) {
            for (int64_t t = 0; t < b.n_given; t++) zeros[t] = replacement<Real>(b, t, sample);
            for (int64_t row = sample * b.n_places; row < (sample + 1) * b.n_places; row++) {
                Real* after = static_cast<Real*>(b.last) + row * n;
                start(b.membrane, row, n, after);
                for (int64_t t = 0; t < b.n_steps; t++) {
                    Io* spikes = row_of<Io>(b.spikes, t, row, n);
                    const Inputs<Real, Io> from(b, t < b.n_given ? t : 0, row, zeros[t < b.n_given ? t : 0], none.data());
                    if (t < b.n_given) keep_all(b, t, row, from);
                    (t < b.n_given ? advance<true, Real, Io> : advance<false, Real, Io>)(b, from, held.data(), after,
                                                                                       spare.data(), spikes);
                    keep<Real>(b, b.voltage, t, row, [&](int64_t c) { return spare[c]; });
                }
            }
        }
    });
}

#include "compiled_moments.hpp"

// Back through one step of the neurons.  `later` is the gradient with respect to the membrane
// after the step, and then the one with respect to the voltage, which is that of the drive.
template <class Surrogate, class Real, class Io>
void rewind_through(const Block& b, const Real* __restrict voltage, const Io* __restrict grad_spikes,
                    Real* __restrict later) {
    const Real threshold = b.threshold, alpha = b.alpha;
    if (b.detach_reset && !b.hard) {  // the usual case
#pragma omp simd
        for (int64_t c = 0; c < b.n_exc; c++)
            later[c] += load(grad_spikes[c]) * Surrogate::derivative(voltage[c] - threshold, alpha);
        return;
    }
    // d(membrane)/d(spike) is -threshold (soft) or -voltage (hard); d(membrane)/d(voltage) of a hard reset is 0.
    const Real by_constant = b.detach_reset || b.hard ? Real(0) : threshold;
    const Real by_voltage = b.detach_reset || !b.hard ? Real(0) : Real(1), left = b.hard ? Real(0) : Real(1);
#pragma omp simd
    for (int64_t c = 0; c < b.n_exc; c++) {
        const Real into_spike = load(grad_spikes[c]) - later[c] * (by_constant + by_voltage * voltage[c]);
        const Real through = later[c] * (voltage[c] >= threshold ? left : Real(1));
        later[c] = through + into_spike * Surrogate::derivative(voltage[c] - threshold, alpha);
    }
}

template <class Real, class Io>
void rewind(const Block& b, const Real* voltage, const Io* grad_spikes, Real* later) {
    switch (b.surrogate) {
        case 0: return rewind_through<Sigmoid>(b, voltage, grad_spikes, later);
        case 1: return rewind_through<Atan>(b, voltage, grad_spikes, later);
        case 2: return rewind_through<FastSigmoid>(b, voltage, grad_spikes, later);
        case 3: return rewind_through<Triangle>(b, voltage, grad_spikes, later);
        default: return rewind_through<Rectangle>(b, voltage, grad_spikes, later);
    }
}

// From the gradient of the drive to those of all that it is computed from.
template <class Mixed, class Real, class Io>
void rewind_drive(const Block& b, int64_t t, int64_t row, const Inputs<Real, Io> from, const Real* none, Mixed* spare,
                  const Real* __restrict later, Real* __restrict bias, Real* __restrict gain_exc) {
    const Real* __restrict into_drive = row_of<const Real>(b.drive, t, row, b.n_exc, none);
    const Real* __restrict into_gain = row_of<const Real>(b.gain, t, row, b.n_exc, none);
    const Real* __restrict into_net = row_of<const Real>(b.net, t, row, b.n_exc, none);
    Io* __restrict grad_exc = row_of<Io>(b.grad_currents, t, row, b.n_channels);
    Mixed* __restrict grad_div = row_of<Mixed>(b.grad_mixed, t, row, b.n_exc * (1 + b.subtractive));
    Mixed* __restrict grad_inh = b.subtractive ? grad_div : spare;
    grad_div += b.n_exc * b.subtractive;
#pragma omp simd
    for (int64_t c = 0; c < b.n_exc; c++) {
        const Cell<Real> cell(from, c);
        const Real grad_drive = later[c] + into_drive[c];
        const Real grad_gain = (grad_drive * cell.net + into_gain[c]) / cell.denominator;
        const Real grad_net = grad_drive * cell.gain + into_net[c];
        bias[c] += grad_drive;
        gain_exc[c] += grad_gain;
        store(grad_exc[c], grad_net);
        store(grad_inh[c], -grad_net);
        store(grad_div[c], -grad_gain * cell.gain);
    }
}

template <class Real, class Io, class Mixed = Real> void backward(const Block& b) {
    in_chunks(b, [&](int64_t chunk, int64_t first, int64_t end) {
        const int64_t n = b.n_exc;
        const Real decay = b.decay;
        const std::vector<Real> none(n);
        const std::vector<Io> no_spikes(n);
        std::vector<Real> zeros(b.n_given), voltages(b.n_steps * n), grad_drives(b.n_given * n);
        std::vector<Real> held(n), membrane(n), bias(n), gain_exc(n);
        std::vector<Io> spikes(n);
        std::vector<Mixed> spare(n);
        for (int64_t sample = first; sample < end; sample++) {
            for (int64_t t = 0; t < b.n_given; t++) zeros[t] = replacement<Real>(b, t, sample);
            std::fill(bias.begin(), bias.end(), Real(0));
            std::fill(gain_exc.begin(), gain_exc.end(), Real(0));
            for (int64_t row = sample * b.n_places; row < (sample + 1) * b.n_places; row++) {
                start(b.membrane, row, n, membrane.data());
                for (int64_t t = 0; t < b.n_steps; t++) {
                    const Inputs<Real, Io> from(b, t < b.n_given ? t : 0, row, zeros[t < b.n_given ? t : 0], none.data());
                    (t < b.n_given ? advance<true, Real, Io> : advance<false, Real, Io>)(
                        b, from, held.data(), membrane.data(), &voltages[t * n], spikes.data());
                }
                Real* __restrict later = membrane.data();  // from here on its gradient
                start(b.last, row, n, later);
                std::fill(grad_drives.begin(), grad_drives.end(), Real(0));
                for (int64_t t = b.n_steps - 1; t >= 0; t--) {
                    rewind(b, &voltages[t * n], row_of<const Io>(b.spikes, t, row, n, no_spikes.data()), later);
                    const Real* __restrict into_voltage = row_of<const Real>(b.voltage, t, row, n, none.data());
                    Real* __restrict grad_drive = &grad_drives[t < b.n_given ? t * n : 0];
#pragma omp simd
                    for (int64_t c = 0; c < n; c++) {
                        const Real grad = later[c] + into_voltage[c];
                        grad_drive[c] += grad;
                        later[c] = decay * grad;
                    }
                }
                if (b.grad_membrane)
                    std::memcpy(static_cast<Real*>(b.grad_membrane) + row * n, later, n * sizeof(Real));
                for (int64_t t = 0; t < b.n_given; t++) {
                    const Inputs<Real, Io> from(b, t, row, zeros[t], none.data());
                    rewind_drive(b, t, row, from, none.data(), spare.data(), &grad_drives[t * n], bias.data(),
                                 gain_exc.data());
                }
            }
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                b.grad_bias[chunk * n + c] += bias[c];
                b.grad_gain_exc[chunk * n + c] += gain_exc[c];
            }
        }
    });
}

}  // namespace

extern "C" {
int64_t block_bytes() { return sizeof(Block); }
void forward_float32(const Block* b) { forward<float, float>(*b); }
void forward_float64(const Block* b) { forward<double, double>(*b); }
void forward_bfloat16(const Block* b) { forward<float, BFloat16>(*b); }
void moments_float32(const Block* b) { forward_moments<float, float>(*b); }
void moments_float64(const Block* b) { forward_moments<double, double>(*b); }
void moments_bfloat16(const Block* b) { forward_moments<float, BFloat16>(*b); }
void backward_float32(const Block* b) { b->rounded ? backward<float, float, BFloat16>(*b) : backward<float, float>(*b); }
void backward_float64(const Block* b) { backward<double, double>(*b); }
void backward_bfloat16(const Block* b) { backward<float, BFloat16>(*b); }
}
