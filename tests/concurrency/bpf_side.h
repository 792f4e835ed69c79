// SPDX-License-Identifier: BSD-3-Clause
//
// The bpf(2) side of a map under test: commands by dice, as many as come, and judgement of what
// each gives: an errno that the command may have, and values whose words were written as wholes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"

namespace crema::test {

inline constexpr std::uint64_t kWordTag = 0xc4e3a000;  // upper half of every word that is written

[[nodiscard]] inline bool is_whole(std::uint64_t word) {
    return word == 0 || word >> 32U == kWordTag;
}

/// What a map is under test with.
struct BusyMap {
    std::shared_ptr<ebpf::maps::Map> map;
    int fd = -1;                   // of the store
    std::vector<int> objects;      // descriptors or numbers that its values name; else tagged words
    std::uint32_t words_from = 0;  // bytes of a value that are no tagged words, at its start
    std::uint32_t words_to = 0;    // and where they end
    bool locks = false;            // every command with BPF_F_LOCK: both words are the same
};

/// One thread's commands. Not for two threads.
class BpfSide {
  public:
    BpfSide(const BusyMap& busy, std::uint64_t seed);

    /// One command. False: it did what it must not; complaint() says what.
    [[nodiscard]] bool step();

    [[nodiscard]] const std::string& complaint() const { return complaint_; }

    /// Commands that gave 0.
    [[nodiscard]] std::uint64_t done() const { return done_; }

    /// Deletes what is there and sees that nothing is left. For when nobody else uses the map.
    [[nodiscard]] bool empties();

  private:
    [[nodiscard]] std::uint32_t dice(std::uint32_t sides);
    void make_key(std::uint8_t* to);
    void make_value(std::uint8_t* to);
    [[nodiscard]] bool judge(const char* what, long result);
    [[nodiscard]] bool values_are_whole(const std::uint8_t* value);
    [[nodiscard]] bool look_up();
    [[nodiscard]] bool update();
    [[nodiscard]] bool remove();
    [[nodiscard]] bool take();
    [[nodiscard]] bool iterate();
    [[nodiscard]] bool batch(int command);

    const BusyMap& busy_;
    const ebpf::maps::MapSpec& spec_;
    std::mt19937_64 random_;
    std::uint32_t value_bytes_;
    std::vector<std::uint8_t> key_, value_, keys_, values_;
    std::string complaint_;
    std::uint64_t done_ = 0;
};

}  // namespace crema::test
