// SPDX-License-Identifier: BSD-3-Clause
//
// See random_bench.h.
#include "tests/support/random_bench.h"

#include <algorithm>
#include <cstring>

#include "lib/ebpf/maps/map.h"

namespace crema::test {

RandomBench::RandomBench(std::uint32_t cpu) : maps_(make_random_maps()), cpu_(cpu), page_(4096) {}

void RandomBench::fill_packet(std::mt19937_64& random) {
    for (std::size_t at = 0; at < packet_.size(); at += 8) {
        const std::uint64_t value = edgy_value(random);
        std::memcpy(packet_.data() + at, &value, sizeof value);
    }
}

std::array<std::span<std::uint8_t>, 2> RandomBench::value_memory() const {
    const auto of = [this](const ebpf::maps::Map& map) {
        const ebpf::maps::ValueLayout layout = map.layout();
        return std::span(layout.base + cpu_ * layout.percpu_stride,
                         std::size_t{layout.stride} * map.spec().max_entries);
    };
    return {of(*maps_.array), of(*maps_.percpu_array)};
}

BenchOutcome RandomBench::outcome(const std::function<std::uint64_t(ebpf::XdpBuff&)>& run) {
    for (const auto memory : value_memory()) {
        std::fill(memory.begin(), memory.end(), std::uint8_t{0});
    }
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page_.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = page_.data() + ebpf::kXdpHeadroom;
    buff.data_end = buff.data + packet_.size();
    buff.data_meta = buff.data;
    buff.ingress_ifindex = 1;
    buff.cpu = cpu_;
    std::memcpy(buff.data, packet_.data(), packet_.size());
    BenchOutcome result;
    result.r0 = run(buff);
    std::memcpy(result.packet.data(), buff.data, result.packet.size());
    for (const auto memory : value_memory()) {
        result.values.insert(result.values.end(), memory.begin(), memory.end());
    }
    return result;
}

}  // namespace crema::test
