// The forward pass of compiled.cpp, which includes this, with the sums of all signals: each signal
// is formed and summed in registers, and never written to memory.

// As many neurons as a register of 64 bytes holds (where there is none so wide, several smaller ones).
template <class Real> struct Lanes {
    typedef Real Values __attribute__((vector_size(64)));
    static constexpr int64_t count = 64 / sizeof(Real);
};
template <class Real> using Values = typename Lanes<Real>::Values;

// The first n values, or all where it is known that there are so many; the others are zero.
template <bool whole, class Real> inline Values<Real> fetch(const Real* from, int64_t n) {
    Values<Real> values{};
    std::memcpy(&values, from, whole ? sizeof(values) : n * sizeof(Real));
    return values;
}
template <bool whole> inline Values<float> fetch(const BFloat16* from, int64_t n) {
    Values<float> values{};
    for (int64_t c = 0; c < (whole ? Lanes<float>::count : n); c++) values[c] = load(from[c]);
    return values;
}
template <bool whole, class Real> inline void put(Real* to, const Values<Real>& values, int64_t n) {
    std::memcpy(to, &values, whole ? sizeof(values) : n * sizeof(Real));
}
template <bool whole> inline void put(BFloat16* to, const Values<float>& values, int64_t n) {
    for (int64_t c = 0; c < (whole ? Lanes<float>::count : n); c++) store(to[c], values[c]);
}

// The sums of one signal of some neighbouring neurons in one sample, in registers.
template <class Real> struct Pair {
    Values<Real> shift{}, sum{}, square{};
    inline void add(const Values<Real>& values) {
        const Values<Real> deviation = values - shift;
        sum += deviation;
        square += deviation * deviation;
    }
};

constexpr int64_t TILE = 512;  // neurons whose sums stay in the cache while the samples pass
constexpr int64_t PER_FLUSH = 16;    // values that are added in the signals' type before their sum is added in double

// The sums of one signal in a tile of neighbouring neurons.
template <class Real> struct Tally {
    const Real* shift = nullptr;
    alignas(64) Real part[TILE], part_square[TILE];
    double *sum, *square;
    int64_t n, waiting = 0;

    Tally(const Sums& to, int64_t first, int64_t n) : n(n) {
        if (!to.sum) return;
        shift = static_cast<const Real*>(to.shift) + first;
        sum = to.sum + first;
        square = to.square + first;
        clear();
    }
    void clear() {
        std::fill_n(part, n, Real(0));
        std::fill_n(part_square, n, Real(0));
        waiting = 0;
    }
    template <bool whole> inline Pair<Real> begin(int64_t at, int64_t count) const {
        Pair<Real> pair;
        if (shift) pair.shift = fetch<whole>(shift + at, count);
        return pair;
    }
    template <bool whole> inline void end(const Pair<Real>& pair, int64_t at, int64_t count) {
        if (!shift) return;
        put<whole, Real>(part + at, fetch<whole>(part + at, count) + pair.sum, count);
        put<whole, Real>(part_square + at, fetch<whole>(part_square + at, count) + pair.square, count);
    }
    // In the middle of a long sample: add in double what was summed so far.
    inline void spill(Pair<Real>& pair, int64_t at, int64_t count) {
        if (!shift) return;
        for (int64_t c = 0; c < count; c++) {
            sum[at + c] += pair.sum[c];
            square[at + c] += pair.square[c];
        }
        pair.sum = pair.square = Values<Real>{};
    }
    // So many values of every neuron have been added.
    void next(int64_t values) {
        if ((waiting += values) + values > PER_FLUSH) flush();
    }
    void flush() {
        if (!shift || !waiting) return;
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            sum[c] += part[c];
            square[c] += part_square[c];
        }
        clear();
    }
};

// The sums of the signals of E neurons in a tile.
template <class Real> struct Tallies {
    Tally<Real> exc, inh, net, div, gain, drive, voltage, spikes;

    Tallies(const Block& b, int64_t first, int64_t n)
        : exc(b.exc_sums, first, n), inh(b.inh_sums, first, n), net(b.net_sums, first, n), div(b.div_sums, first, n),
          gain(b.gain_sums, first, n), drive(b.drive_sums, first, n), voltage(b.voltage_sums, first, n),
          spikes(b.spikes_sums, first, n) {}
    void next(int64_t given, int64_t steps) {
        for (Tally<Real>* tally : {&exc, &inh, &net, &div, &gain, &drive}) tally->next(given);
        for (Tally<Real>* tally : {&voltage, &spikes}) tally->next(steps);
    }
    void flush() {
        for (Tally<Real>* tally : {&exc, &inh, &net, &div, &gain, &drive, &voltage, &spikes}) tally->flush();
    }
};

// Which steps count: of the currents (all of them where the one is held), and of the neurons.
struct Counted {
    std::vector<char> given, steps;
    int64_t n_given = 0, n_steps = 0;

    explicit Counted(const Block& b) : given(b.n_given), steps(b.n_steps) {
        for (int64_t t = 0; t < b.n_steps; t++)
            n_steps += steps[t] = t >= b.warmup && (t - b.warmup) % b.every == 0;
        for (int64_t t = 0; t < b.n_given; t++) n_given += given[t] = b.n_given < b.n_steps || steps[t];
    }
};

// Keep the voltages of `count` neurons from the channel `c` on.
template <class Real>
void keep_voltages(const Block& b, int64_t t, int64_t row, int64_t c, int64_t count, const Values<Real>& values) {
    if (!b.first) {
        std::memcpy(row_of<Real>(b.voltage, t, row, b.n_exc) + c, &values, count * sizeof(Real));
        return;
    }
    const int64_t place = row % b.n_places;
    Real* to = row_of<Real>(b.voltage, t, row / b.n_places, b.n_selected);
    for (int64_t j = b.first[place]; j < b.first[place + 1]; j++)
        if (b.channel[j] >= c && b.channel[j] < c + count) to[b.slot[j]] = values[b.channel[j] - c];
}

// All steps of `count` neighbouring channels of a row, from the channel `c` on, which is neuron `at` of the tile.
template <bool whole, bool hard, class Real, class Io>
void sum_steps(const Block& b, const Counted& counted, const Real* zeros, const Real* none, int64_t row, int64_t c,
               int64_t count, int64_t at, Tallies<Real>& to) {
    using V = Values<Real>;
    const int64_t width = b.n_exc * (1 + b.subtractive), next = b.n_places;
    const V gain_exc = fetch<whole>(static_cast<const Real*>(b.gain_exc) + c, count);
    const V bias = fetch<whole>(static_cast<const Real*>(b.bias) + c, count);
    const V threshold = V{} + Real(b.threshold), one = V{} + Real(1);
    const Real decay = b.decay;
    auto exc = to.exc.template begin<whole>(at, count), inh = to.inh.template begin<whole>(at, count);
    auto net = to.net.template begin<whole>(at, count), div = to.div.template begin<whole>(at, count);
    auto gain = to.gain.template begin<whole>(at, count), drive = to.drive.template begin<whole>(at, count);
    auto voltage = to.voltage.template begin<whole>(at, count), fired = to.spikes.template begin<whole>(at, count);
    V after{}, drives{};
    if (b.membrane) after = fetch<whole>(static_cast<const Real*>(b.membrane) + row * b.n_exc + c, count);
    for (int64_t t = 0; t < b.n_steps; t++) {
        if (t < b.n_given) {
            const Io* excitation = row_of<const Io>(b.currents, t, row, b.n_channels) + c;
            const Real* mixed = row_of<const Real>(b.mixed, t, row, width) + c;
            // Those of the next sample lie far away in memory.
            __builtin_prefetch(excitation + next * b.n_channels);
            __builtin_prefetch(mixed + next * width);
            if (b.subtractive) __builtin_prefetch(mixed + next * width + b.n_exc);
            const V e = fetch<whole>(excitation, count);
            const V i = fetch<whole>(b.subtractive ? mixed : none, count);
            const V d = fetch<whole>(mixed + b.n_exc * b.subtractive, count);
            const V nets = e - i;
            const V gains = gain_exc / (d == V{} ? V{} + zeros[t * b.n_samples] : d);
            drives = gains * nets + bias;
            if (counted.given[t]) exc.add(e), inh.add(i), net.add(nets), div.add(d), gain.add(gains), drive.add(drives);
        }
        const V voltages = drives + decay * after;
        const V spikes = voltages >= threshold ? one : V{};
        after = voltages - (voltages >= threshold ? (hard ? voltages : threshold) : V{});
        Io* fires = row_of<Io>(b.spikes, t, row, b.n_exc) + c;
        __builtin_prefetch(fires + next * b.n_exc, 1);
        put<whole>(fires, spikes, count);
        if (b.voltage.data) keep_voltages<Real>(b, t, row, c, count, voltages);
        if (counted.steps[t]) voltage.add(voltages), fired.add(spikes);
        if ((t + 1) % PER_FLUSH) continue;
        if (t < b.n_given) {
            to.exc.spill(exc, at, count), to.inh.spill(inh, at, count), to.net.spill(net, at, count);
            to.div.spill(div, at, count), to.gain.spill(gain, at, count), to.drive.spill(drive, at, count);
        }
        to.voltage.spill(voltage, at, count), to.spikes.spill(fired, at, count);
    }
    put<whole, Real>(static_cast<Real*>(b.last) + row * b.n_exc + c, after, count);
    to.exc.template end<whole>(exc, at, count);
    to.inh.template end<whole>(inh, at, count);
    to.net.template end<whole>(net, at, count);
    to.div.template end<whole>(div, at, count);
    to.gain.template end<whole>(gain, at, count);
    to.drive.template end<whole>(drive, at, count);
    to.voltage.template end<whole>(voltage, at, count);
    to.spikes.template end<whole>(fired, at, count);
}

// Call f(whole, c, count) for vectors of neighbouring channels, n in all.
template <class Real, class Work> inline void in_vectors(int64_t n, Work work) {
    constexpr int64_t lanes = Lanes<Real>::count;
    int64_t c = 0;
    for (; c + lanes <= n; c += lanes) work(std::true_type(), c, lanes);
    if (c < n) work(std::false_type(), c, n - c);
}

// The sums of the activity of I neurons; a tile of them passes through all samples.
template <class Real, class Io> void sum_activity(const Block& b, const Counted& counted) {
    const int64_t n_inh = b.n_channels - b.n_exc, wide = std::min(TILE, n_inh), high = TILE / wide;
#pragma omp parallel for schedule(static) num_threads(b.n_chunks) if (b.n_chunks > 1)
    for (int64_t place = 0; place < b.n_places; place += high) {
        const int64_t n_places = std::min(high, b.n_places - place);
        for (int64_t from_c = 0; from_c < n_inh; from_c += wide) {
            const int64_t n = std::min(wide, n_inh - from_c), start = b.n_exc + from_c;
            Tally<Real> activity(b.activity_sums, place * n_inh + from_c, (n_places - 1) * n_inh + n);
            for (int64_t sample = 0; sample < b.n_samples; sample++) {
                for (int64_t p = 0; p < n_places; p++)
                    in_vectors<Real>(n, [&](auto whole, int64_t c, int64_t count) {
                        const int64_t row = sample * b.n_places + place + p, at = p * n_inh + c;
                        Pair<Real> pair = activity.template begin<whole.value>(at, count);
                        for (int64_t t = 0; t < b.n_given; t++) {
                            const Io* values = row_of<const Io>(b.currents, t, row, b.n_channels) + start + c;
                            if (counted.given[t]) pair.add(fetch<whole.value>(values, count));
                            if ((t + 1) % PER_FLUSH == 0) activity.spill(pair, at, count);
                        }
                        activity.template end<whole.value>(pair, at, count);
                    });
                activity.next(counted.n_given);
            }
            activity.flush();
        }
    }
}

// As forward, with the sums of all signals: a tile of neurons passes through all samples.
// A tile is some places with all channels, or a part of the channels of one place.
template <class Real, class Io> void forward_moments(const Block& b) {
    const int64_t width = std::min(TILE, b.n_exc), height = TILE / width;
    const int64_t across = (b.n_exc + width - 1) / width, down = (b.n_places + height - 1) / height;
    const Counted counted(b);
    const std::vector<Real> none(b.n_exc);
    std::vector<Real> zeros(b.n_given * b.n_samples);
    in_chunks(b, [&](int64_t, int64_t first, int64_t end) {
        for (int64_t t = 0; t < b.n_given; t++)
            for (int64_t sample = first; sample < end; sample++) {
                const Real found = zeros[t * b.n_samples + sample] = replacement<Real>(b, t, sample);
                for (int64_t row = sample * b.n_places; row < (sample + 1) * b.n_places; row++)
                    keep_all(b, t, row, Inputs<Real, Io>(b, t, row, found, none.data()));
            }
    });
#pragma omp parallel for schedule(static) num_threads(b.n_chunks) if (b.n_chunks > 1)
    for (int64_t tile = 0; tile < down * across; tile++) {
        const int64_t place = tile / across * height, n_places = std::min(height, b.n_places - place);
        const int64_t from_c = tile % across * width, n = std::min(width, b.n_exc - from_c);
        Tallies<Real> sums(b, place * b.n_exc + from_c, (n_places - 1) * b.n_exc + n);
        for (int64_t sample = 0; sample < b.n_samples; sample++) {
            for (int64_t p = 0; p < n_places; p++)
                in_vectors<Real>(n, [&](auto whole, int64_t c, int64_t count) {
                    const auto steps =
                        b.hard ? sum_steps<whole.value, true, Real, Io> : sum_steps<whole.value, false, Real, Io>;
                    const int64_t row = sample * b.n_places + place + p;
                    steps(b, counted, &zeros[sample], none.data(), row, from_c + c, count, p * b.n_exc + c, sums);
                });
            sums.next(counted.n_given, counted.n_steps);
        }
        sums.flush();
    }
    if (b.activity_sums.sum) sum_activity<Real, Io>(b, counted);
}
