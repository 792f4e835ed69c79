// SPDX-License-Identifier: BSD-3-Clause
//
// What is played on both sides, and how what was seen is put into words. A case is a list of frames
// and of what happens between them; its transcript holds no number that is this machine's.
#pragma once

#include <string>
#include <vector>

#include "tests/conformance/redirect/side.h"

namespace crema::test::redirect {

/// One frame: the order and how long it is.
struct Wish {
    std::uint32_t what = ORDER_VERDICT;
    std::uint32_t key = 0;  // of ORDER_IFINDEX, and `second` where it is one: see of_port()
    std::uint32_t flags = 0;
    std::uint32_t second = 0;
    std::uint32_t slot = 2;    // XDP_PASS
    std::uint32_t on_cpu = 2;  // XDP_PASS
    std::uint32_t len = 64;
};

/// Plays a case and writes down what came of it.
class Stage {
  public:
    explicit Stage(Side& side) : side_(side) {}

    [[nodiscard]] std::uint32_t of_port(std::uint32_t port) const {
        return side_.first_ifindex() + port;
    }

    void device(Maps map, std::uint32_t key, std::uint32_t port, const std::string& program = "");
    void ifindex(Maps map,
                 std::uint32_t key,
                 std::uint32_t ifindex,
                 const std::string& program = "");
    void cpu(std::uint32_t cpu, std::uint32_t frames, const std::string& program = "");
    void erase_device(Maps map, std::uint32_t key);
    void erase_cpu(std::uint32_t cpu);
    /// Says whether the slot is filled.
    void ask(Maps map, std::uint32_t key);

    void send(const Wish& wish) { burst({wish}); }

    void burst(const std::vector<Wish>& wishes);

    [[nodiscard]] Side& side() { return side_; }

    /// Empties the maps and says what was seen since the last call.
    [[nodiscard]] std::string finish();

  private:
    void note(const std::string& line) { text_ += line + "\n"; }

    [[nodiscard]] std::string name_of(std::uint32_t ifindex) const;
    [[nodiscard]] std::string describe(const Bytes& frame) const;
    void describe(const char* where, std::uint32_t port, const std::vector<Bytes>& frames);

    Side& side_;
    std::string text_;
    std::uint32_t next_number_ = 1;
};

struct Case {
    const char* name;
    void (*play)(Stage& stage);
};

[[nodiscard]] const std::vector<Case>& cases();

}  // namespace crema::test::redirect
