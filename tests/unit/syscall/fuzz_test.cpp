// SPDX-License-Identifier: BSD-3-Clause
//
// Random bpf(2) calls: whatever the attributes hold, a call answers, and nothing is left behind.
// Pointers are null, wild, or to a buffer of ours, which the calls may read and write as they like.
// CREMA_TEST_ROUNDS multiplies the length; the seed is fixed, so a failure can be repeated.
#include <array>
#include <gtest/gtest.h>
#include <random>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/open_files.h"
#include "tests/support/rounds.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

constexpr std::array kCommands = {BPF_MAP_CREATE,         BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,
                                  BPF_MAP_DELETE_ELEM,    BPF_MAP_GET_NEXT_KEY, BPF_PROG_LOAD,
                                  BPF_OBJ_GET_INFO_BY_FD, BPF_BTF_LOAD,         BPF_MAP_FREEZE,
                                  BPF_PROG_BIND_MAP,      BPF_LINK_CREATE,      BPF_PROG_TEST_RUN};

class Calls {
  public:
    explicit Calls(std::uint32_t seed) : random_(seed) {
        fds_.emplace_back(new_array());
        fds_.emplace_back(new_array(1, 64));
        fds_.emplace_back(static_cast<int>(load_btf(btf_with(std::string("\0a\0", 3)))));
        fds_.emplace_back(static_cast<int>(load(returns(2))));
    }

    void one() {
        const int command = pick(kCommands);
        bpf_attr attr{};
        start_from(command, attr);
        mutate(attr);
        for (auto& byte : buffer_) {
            byte = static_cast<std::uint8_t>(random_());
        }
        const std::uint32_t size = below(4) == 0 ? below(sizeof(attr) + 1) : sizeof(attr);
        const long result = serve(command, &attr, size);
        EXPECT_GE(result, -4095);
        const bool creates =
            command == BPF_MAP_CREATE || command == BPF_PROG_LOAD || command == BPF_BTF_LOAD;
        if (creates && result >= 0) {
            fds_[below(static_cast<std::uint32_t>(fds_.size()))].reset(static_cast<int>(result));
        }
    }

  private:
    std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(random_()) % end; }

    template <typename List>
    typename List::value_type pick(const List& list) {
        return list[below(static_cast<std::uint32_t>(list.size()))];
    }

    std::uint32_t some_fd() {
        return static_cast<std::uint32_t>(
            fds_[below(static_cast<std::uint32_t>(fds_.size()))].get());
    }

    /// A call that could succeed, so that mutations reach behind the first check.
    void start_from(int command, bpf_attr& attr) {
        switch (command) {
            case BPF_MAP_CREATE:
                attr = array_attr(1 + below(8), 1 + below(64));
                break;
            case BPF_PROG_LOAD:
                insns_ = below(2) == 0
                             ? returns(static_cast<int>(below(5)))
                             : returns_value(op::kPseudoMapValue, static_cast<int>(some_fd()), 0);
                insns_[below(static_cast<std::uint32_t>(insns_.size()))].imm ^=
                    below(4) == 0 ? 1 << below(32) : 0;
                attr = prog_attr(insns_);
                if (below(8) == 0) {
                    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
                }
                break;
            case BPF_BTF_LOAD:
                btf_ = btf_with(std::string("\0ab\0", 4));
                btf_[below(static_cast<std::uint32_t>(btf_.size()))] ^=
                    static_cast<std::uint8_t>(below(4) == 0 ? random_() : 0);
                attr.btf = address(btf_.data());
                attr.btf_size = static_cast<std::uint32_t>(btf_.size());
                break;
            case BPF_OBJ_GET_INFO_BY_FD:
                attr.info.bpf_fd = some_fd();
                attr.info.info = address(buffer_.data());
                attr.info.info_len = below(256);
                break;
            case BPF_PROG_BIND_MAP:
                attr.prog_bind_map.prog_fd = some_fd();
                attr.prog_bind_map.map_fd = some_fd();
                break;
            default:
                attr.map_fd = some_fd();
                attr.key = address(buffer_.data());
                attr.value = address(buffer_.data() + 64);
                break;
        }
    }

    void mutate(bpf_attr& attr) {
        auto* words = reinterpret_cast<std::uint8_t*>(&attr);
        for (std::uint32_t n = below(4); n > 0; --n) {
            // Any value for 32-bit fields, but for pointers only ones that are not memory of this
            // program: a call that is told to write there would do so.
            const std::uint32_t at = below(sizeof(attr) / 4) * 4;
            static constexpr std::array<std::uint32_t, 8> kValues = {
                0, 1, 2, 8, 64, 0x100000, 0x7fffffff, 0xffffffff};
            const std::uint32_t value = pick(kValues);
            std::memcpy(words + at, &value, sizeof(value));
        }
    }

    std::mt19937 random_;
    std::vector<UniqueFd> fds_;
    std::vector<Insn> insns_;
    std::vector<std::uint8_t> btf_;
    alignas(8) std::array<std::uint8_t, 4096> buffer_{};
};

TEST(Fuzz, RandomCallsNeitherCrashNorLeak) {
    const std::uint64_t rounds = crema::test::scaled_rounds(40);
    constexpr int kCallsPerRound = 500;
    const std::size_t files = crema::test::open_files();
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const Session session;
        Calls calls(static_cast<std::uint32_t>(round));
        for (int i = 0; i < kCallsPerRound; ++i) {
            calls.one();
        }
    }
    EXPECT_EQ(object_store::size(), 0U);
    EXPECT_EQ(crema::test::open_files(), files);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
