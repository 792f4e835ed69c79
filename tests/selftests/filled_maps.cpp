// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/filled_maps.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <random>

#include <linux/bpf.h>

namespace crema::test {
namespace {

constexpr std::uint32_t kArrayEntriesMax = 16;
constexpr std::uint32_t kHashEntries = 64;
constexpr std::uint32_t kCpuQueue = 8;

class Filler {
  public:
    Filler(WholeObject& object, std::uint64_t seed)
        : object_(object), random_(seed), packets_(fixed_packets()) {}

    void fill(const MapShape& shape) {
        switch (shape.type) {
            case BPF_MAP_TYPE_ARRAY:
                for (std::uint32_t i = 0; i < std::min(shape.max_entries, kArrayEntriesMax); ++i) {
                    update(shape, number(i), value(shape.value_size));
                }
                break;
            case BPF_MAP_TYPE_HASH:
            case BPF_MAP_TYPE_LRU_HASH:
                // LRU maps larger than this evict nothing yet: what they keep is not the kernel's.
                for (std::uint32_t i = 0; i < std::min(shape.max_entries / 2, kHashEntries); ++i) {
                    update(shape, key(shape.key_size), value(shape.value_size));
                }
                break;
            case BPF_MAP_TYPE_LPM_TRIE:
                for (std::uint32_t i = 0; i < std::min(shape.max_entries / 2, kHashEntries); ++i) {
                    update(shape, prefix(shape.key_size), value(shape.value_size));
                }
                break;
            case BPF_MAP_TYPE_DEVMAP:
            case BPF_MAP_TYPE_DEVMAP_HASH:
                for (std::uint32_t i = 0; i < std::min(shape.max_entries, kArrayEntriesMax); ++i) {
                    update(shape, number(i), target(shape.value_size, 1 + i % kIfindexes));
                }
                break;
            case BPF_MAP_TYPE_CPUMAP:
                update(shape, number(0), target(shape.value_size, kCpuQueue));
                break;
            case BPF_MAP_TYPE_PROG_ARRAY:
                fill_slots(shape);
                break;
            default:
                break;
        }
    }

    [[nodiscard]] Filled result() && { return std::move(filled_); }

  private:
    std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

    static Bytes number(std::uint32_t value) {
        Bytes bytes(sizeof value);
        std::memcpy(bytes.data(), &value, sizeof value);
        return bytes;
    }

    static Bytes target(std::uint32_t size, std::uint32_t first_word) {
        Bytes bytes = number(first_word);
        bytes.resize(size);
        return bytes;
    }

    Bytes value(std::uint32_t size) {
        Bytes bytes(size);
        for (std::uint32_t at = 0; at < size; at += 4) {
            static constexpr std::array<std::uint32_t, 6> kSmall = {0, 1, 1, 2, 3, 64};
            const std::uint32_t dice = below(8);
            const auto word =
                dice < kSmall.size() ? kSmall[dice] : static_cast<std::uint32_t>(random_());
            std::memcpy(bytes.data() + at, &word, std::min(size - at, 4U));
        }
        return bytes;
    }

    /// Bytes of a packet from a place where headers have addresses and ports; sometimes only the
    /// first few of them, as keys of one field have; or a small number.
    Bytes key(std::uint32_t size) {
        Bytes bytes(size);
        if (below(4) == 0) {
            const std::uint32_t small = below(18);
            std::memcpy(bytes.data(), &small, std::min(size, 4U));
            return bytes;
        }
        static constexpr std::array<std::size_t, 12> kPlaces = {0,  6,  12, 14, 22, 23,
                                                                26, 30, 34, 36, 38, 54};
        const Bytes& packet = packets_[below(static_cast<std::uint32_t>(packets_.size()))].bytes;
        const std::size_t from = kPlaces[below(kPlaces.size())];
        static constexpr std::array<std::uint32_t, 5> kWidths = {1, 2, 4, 8, 16};
        const std::uint32_t wanted = below(2) == 0 ? size : kWidths[below(kWidths.size())];
        for (std::uint32_t i = 0; i < std::min(size, wanted) && from + i < packet.size(); ++i) {
            bytes[i] = packet[from + i];
        }
        return bytes;
    }

    Bytes prefix(std::uint32_t size) {
        const std::uint32_t bits = 8 * (size - 4);
        Bytes bytes = number(below(4) == 0 ? bits : below(bits + 1));
        const Bytes data = key(size - 4);
        bytes.insert(bytes.end(), data.begin(), data.end());
        return bytes;
    }

    void update(const MapShape& shape, Bytes key, Bytes value) {
        key.resize(shape.key_size);
        value.resize(shape.value_size);
        for (const auto& program : object_.programs()) {
            if (program.machine != nullptr) {
                note(shape,
                     program.machine->update(
                         {.map = shape.name, .key = std::move(key), .value = std::move(value)}));
                return;
            }
        }
    }

    void fill_slots(const MapShape& shape) {
        std::vector<std::size_t> loaded;
        for (std::size_t i = 0; i < object_.programs().size(); ++i) {
            if (object_.programs()[i].machine != nullptr) {
                loaded.push_back(i);
            }
        }
        for (std::uint32_t slot = 0;
             !loaded.empty() && slot < std::min(shape.max_entries, 4 * kArrayEntriesMax); ++slot) {
            note(shape, object_.put_program(shape.name, slot, loaded[slot % loaded.size()]));
        }
    }

    void note(const MapShape& shape, const Status& done) {
        if (done) {
            ++filled_.taken;
        } else {
            filled_.refused += fmt::format("{}: {}; ", shape.name, done.error().code);
        }
    }

    WholeObject& object_;
    std::mt19937_64 random_;
    std::vector<Packet> packets_;
    Filled filled_;
};

}  // namespace

Filled fill_maps(WholeObject& object, const std::vector<MapShape>& shapes, std::uint64_t seed) {
    std::vector<MapShape> ordered = shapes;
    std::sort(ordered.begin(), ordered.end(),
              [](const MapShape& left, const MapShape& right) { return left.name < right.name; });
    Filler filler(object, seed);
    for (const MapShape& shape : ordered) {
        if (shape.name.empty() || shape.name.front() != '.') {
            filler.fill(shape);
        }
    }
    return std::move(filler).result();
}

}  // namespace crema::test
