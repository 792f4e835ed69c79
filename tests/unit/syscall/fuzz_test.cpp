// SPDX-License-Identifier: BSD-3-Clause
//
// Random bpf(2) calls: whatever the attributes hold, a call answers, and nothing is left behind.
// Pointers are null, wild, or to a buffer of ours, which the calls may read and write as they like.
// CREMA_TEST_ROUNDS multiplies the length; the seed is fixed, so a failure can be repeated.
#include <array>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/pins.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/open_files.h"
#include "tests/support/rounds.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

constexpr std::array kCommands = {BPF_MAP_CREATE,       BPF_MAP_LOOKUP_ELEM,
                                  BPF_MAP_UPDATE_ELEM,  BPF_MAP_DELETE_ELEM,
                                  BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_AND_DELETE_ELEM,
                                  BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH,
                                  BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
                                  BPF_PROG_LOAD,        BPF_OBJ_GET_INFO_BY_FD,
                                  BPF_BTF_LOAD,         BPF_MAP_FREEZE,
                                  BPF_PROG_BIND_MAP,    BPF_LINK_CREATE,
                                  BPF_LINK_UPDATE,      BPF_LINK_DETACH,
                                  BPF_PROG_TEST_RUN,    BPF_OBJ_PIN,
                                  BPF_OBJ_GET,          BPF_PROG_GET_NEXT_ID,
                                  BPF_MAP_GET_NEXT_ID,  BPF_BTF_GET_NEXT_ID,
                                  BPF_LINK_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID,
                                  BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID,
                                  BPF_LINK_GET_FD_BY_ID};

/// What is pinned lies here.
class PinFolder {
  public:
    PinFolder() {
        EXPECT_NE(::mkdtemp(path_.data()), nullptr);
        EXPECT_TRUE(pins::set_directory(path_));
    }

    PinFolder(const PinFolder&) = delete;
    PinFolder& operator=(const PinFolder&) = delete;

    ~PinFolder() {
        pins::clear();
        std::filesystem::remove_all(path_);
    }

    [[nodiscard]] std::string file(std::uint32_t number) const {
        return path_ + "/pin" + std::to_string(number);
    }

  private:
    std::string path_ = testing::TempDir() + "crema-fuzz-XXXXXX";
};

class Calls {
  public:
    Calls(std::uint32_t seed, const PinFolder& folder) : random_(seed), folder_(folder) {
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
        if (command == BPF_PROG_TEST_RUN) {
            attr.test.repeat &= 7;  // more only takes longer
        }
        for (auto& byte : buffer_) {
            byte = static_cast<std::uint8_t>(random_());
        }
        const std::uint32_t size = below(4) == 0 ? below(sizeof(attr) + 1) : sizeof(attr);
        const long result = serve(command, &attr, size);
        EXPECT_GE(result, -4095);
        if (returns_descriptor(command) && result >= 0) {
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
            case BPF_PROG_TEST_RUN:
                start_run(attr);
                break;
            case BPF_OBJ_PIN:
            case BPF_OBJ_GET:
                path_ = folder_.file(below(6));
                attr.pathname = address(path_.c_str());
                attr.bpf_fd = command == BPF_OBJ_PIN ? some_fd() : 0;
                break;
            case BPF_PROG_GET_NEXT_ID:
            case BPF_MAP_GET_NEXT_ID:
            case BPF_BTF_GET_NEXT_ID:
            case BPF_LINK_GET_NEXT_ID:
            case BPF_PROG_GET_FD_BY_ID:
            case BPF_MAP_GET_FD_BY_ID:
            case BPF_BTF_GET_FD_BY_ID:
            case BPF_LINK_GET_FD_BY_ID:
                attr.start_id = below(200);
                break;
            case BPF_LINK_CREATE:
                attr.link_create.prog_fd = some_fd();
                attr.link_create.target_ifindex = below(4);
                attr.link_create.attach_type = BPF_XDP;
                break;
            case BPF_LINK_UPDATE:
                attr.link_update.link_fd = some_fd();
                attr.link_update.new_prog_fd = some_fd();
                break;
            case BPF_MAP_LOOKUP_BATCH:
            case BPF_MAP_UPDATE_BATCH:
            case BPF_MAP_DELETE_BATCH:
            case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
                attr.batch.map_fd = some_fd();
                attr.batch.keys = address(buffer_.data());
                attr.batch.values = address(buffer_.data() + 1024);
                attr.batch.out_batch = address(buffer_.data() + 4000);
                attr.batch.count = below(6);
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

    void start_run(bpf_attr& attr) {
        attr.test.prog_fd = some_fd();
        attr.test.data_in = address(buffer_.data());
        attr.test.data_size_in = below(2048);
        attr.test.data_out = address(buffer_.data());
        attr.test.data_size_out = below(4096);
        if (below(2) == 0) {
            context_ = {below(3) * 4, attr.test.data_size_in, 0, below(3), below(2), 0};
            attr.test.ctx_in = address(context_.data());
            attr.test.ctx_size_in = sizeof context_;
            attr.test.ctx_out = address(context_.data());
            attr.test.ctx_size_out = sizeof context_;
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
    std::string path_;
    std::array<std::uint32_t, 6> context_{};
    const PinFolder& folder_;
    alignas(8) std::array<std::uint8_t, 4096> buffer_{};
};

TEST(Fuzz, RandomCallsNeitherCrashNorLeak) {
    const std::uint64_t rounds = crema::test::scaled_rounds(40);
    constexpr int kCallsPerRound = 500;
    const std::size_t files = crema::test::open_files();
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const PinFolder folder;
        const Session session;
        Calls calls(static_cast<std::uint32_t>(round), folder);
        for (int i = 0; i < kCallsPerRound; ++i) {
            calls.one();
        }
    }
    EXPECT_EQ(object_store::size(), 0U);
    EXPECT_EQ(crema::test::open_files(), files);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
