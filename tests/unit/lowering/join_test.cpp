// SPDX-License-Identifier: BSD-3-Clause
//
// Joining of narrow accesses: what becomes of the code that compilers make for packed structures,
// what must stay as it is, and random straight code against the interpreter, on bytes that overlap
// in every way, with registers, packet and stack compared afterwards.
// Length and seed: tests/support/rounds.h.
#include <algorithm>
#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/rounds.h"

namespace crema::test {
namespace {

constexpr int kPacketBytes = 256;
constexpr int kHeaderBytes = 64;             // what the code under test works on
constexpr int kRegistersAt = kHeaderBytes;   // where it leaves its registers ...
constexpr int kStackAt = kRegistersAt + 64;  // ... and its stack
constexpr int kStackBytes = 64;
constexpr int kPacket = 6, kAlias = 8, kStack = 10;  // base registers
constexpr std::array kScalars = {0, 1, 2, 3, 4, 5, 9};

int accesses(const std::vector<Insn>& insns) {
    return static_cast<int>(std::count_if(insns.begin(), insns.end(), [](const Insn& insn) {
        const auto cls = op::insn_class(insn.code);
        return cls == op::kLdx || cls == op::kSt || cls == op::kStx;
    }));
}

// r6 = packet, r8 = the same packet 8 bytes on; all scalars and the stack are filled from it.
Code head() {
    Code code = {load(op::kW, kPacket, 1, 0),
                 load(op::kW, 7, 1, 4),
                 mov(2, kPacket),
                 add_k(2, kPacketBytes),
                 jump(op::kJle, 2, 7, 2),
                 mov_k(0, 1),
                 exit_insn(),
                 mov(kAlias, kPacket),
                 add_k(kAlias, 8)};
    for (int at = 0; at < kStackBytes; at += 8) {
        code =
            Code{code, load(op::kDw, 2, kPacket, at), store(op::kDw, kStack, at - kStackBytes, 2)};
    }
    for (std::size_t i = 0; i < kScalars.size(); i++) {
        code = Code{code, load(op::kDw, kScalars[i], kPacket, static_cast<int>(8 * i))};
    }
    // What follows is not of one piece with this.
    return {code, atomic_add(op::kDw, kStack, -8, 0)};
}

Code tail() {
    Code code = {atomic_add(op::kDw, kStack, -8, 0)};
    for (std::size_t i = 0; i < kScalars.size(); i++) {
        code = Code{code,
                    store(op::kDw, kPacket, kRegistersAt + static_cast<int>(8 * i), kScalars[i])};
    }
    for (int at = 0; at < kStackBytes; at += 8) {
        code = Code{code, load(op::kDw, 2, kStack, at - kStackBytes),
                    store(op::kDw, kPacket, kStackAt + at, 2)};
    }
    return {code, mov_k(0, 2), exit_insn()};
}

using Packet = std::array<std::uint8_t, kPacketBytes>;

template <typename Run>
Packet packet_after(const Packet& packet, Run&& run) {
    std::vector<std::uint8_t> page(4096);
    std::uint8_t* const data = page.data() + ebpf::kXdpHeadroom;
    std::copy(packet.begin(), packet.end(), data);
    ebpf::XdpBuff buff{};
    buff.data = buff.data_meta = data;
    buff.data_end = data + packet.size();
    buff.data_hard_start = page.data();
    buff.frame_sz = static_cast<std::uint32_t>(page.size());
    EXPECT_EQ(run(buff), 2U);
    Packet after{};
    std::copy(data, data + packet.size(), after.begin());
    return after;
}

/// In compiled code.
struct Accesses {
    int unjoined = 0, joined = 0;

    [[nodiscard]] int saved() const { return unjoined - joined; }
};

/// Runs `body` between head and tail both ways.
Accesses check(const Code& body, std::uint64_t seed) {
    const ebpf::Program program = program_of(Code{head(), body, tail()});
    auto proof = ebpf::verifier::verify(program, {});
    if (!proof) {
        ADD_FAILURE() << "seed " << seed << ": " << proof.error().message;
        return {};
    }
    const auto lowered = ebpf::lowering::lower(program, *proof);
    const auto code = ebpf::lowering::compile(*lowered);
    const auto image = ebpf::interpreter::Image::prepare(program, nullptr);
    if (!lowered || !code || !image) {
        ADD_FAILURE() << "seed " << seed << ": not compiled";
        return {};
    }
    Packet packet{};
    std::mt19937_64 random(seed);
    std::generate(packet.begin(), packet.end(),
                  [&random] { return static_cast<std::uint8_t>(random()); });
    const Packet wanted = packet_after(packet, [&](ebpf::XdpBuff& buff) {
        const auto ran = ebpf::interpreter::run_checked(**image, buff, {});
        EXPECT_FALSE(ran.fault) << "seed " << seed << ": " << (ran.fault ? ran.fault->what : "");
        return ran.r0;
    });
    const Packet got =
        packet_after(packet, [&](ebpf::XdpBuff& buff) { return code->entry()(&buff, nullptr); });
    EXPECT_EQ(got, wanted) << "seed " << seed;
    // Without knowing what lies where nothing is joined.
    ebpf::verifier::Proof blind = *proof;
    for (auto& facts : blind.insns) {
        facts.regions = 0;
    }
    const auto unjoined = ebpf::lowering::lower(program, blind);
    return {.unjoined = unjoined ? accesses(unjoined->functions.back().insns) : 0,
            .joined = accesses(lowered->functions.back().insns)};
}

TEST(Join, TypeOfAFrameByBytes) {
    const auto found = check({load(op::kB, 1, kPacket, 12), load(op::kB, 2, kPacket, 13),
                              alu32_k(op::kLsh, 2, 8), alu32(op::kOr, 2, 1), mov_k(1, 0)},
                             1);
    EXPECT_EQ(found.saved(), 2 - 1);
}

TEST(Join, AddressesSwappedByBytes) {
    Code body;
    for (int i = 0; i < 6; i++) {
        body = Code{body, load(op::kB, 1, kPacket, i), load(op::kB, 2, kPacket, 6 + i),
                    store(op::kB, kPacket, 6 + i, 1), store(op::kB, kPacket, i, 2)};
    }
    const auto found = check({body, mov_k(1, 0), mov_k(2, 0)}, 2);
    EXPECT_EQ(found.saved(), 24 - 8);
}

TEST(Join, BytesMovedByLessThanTheirNumber) {
    for (const int by : {-4, 4}) {
        Code body;
        for (int n = 0; n < 12; n++) {
            const int i = by < 0 ? n : 11 - n;
            body =
                Code{body, load(op::kB, 1, kPacket, 8 + i), store(op::kB, kPacket, 8 + by + i, 1)};
        }
        const auto found = check({body, mov_k(1, 0), mov_k(2, 0)}, 3);
        EXPECT_EQ(found.saved(), 24 - 4) << "by " << by;
    }
}

TEST(Join, ConstantsByBytes) {
    const auto found = check({store_k(op::kB, kPacket, 12, 0x81), store_k(op::kB, kPacket, 13, 0),
                              mov_k(1, 0x2a00), store(op::kH, kPacket, 14, 1)},
                             4);
    EXPECT_EQ(found.saved(), 3 - 1);
}

// One of two pointers into the packet may be where the other is.
TEST(Join, NothingAcrossAStoreThroughAnotherPointer) {
    const auto found =
        check({load(op::kB, 1, kPacket, 8), store_k(op::kB, kAlias, 1, 7),
               load(op::kB, 2, kPacket, 9), alu32_k(op::kLsh, 2, 8), alu32(op::kOr, 2, 1)},
              5);
    EXPECT_EQ(found.saved(), 0);
}

TEST(Join, NothingAcrossAPlaceWhereAJumpLeads) {
    const auto found =
        check({load(op::kB, 1, kPacket, 8), jump_k(op::kJgt, 1, 100, 1), mov_k(1, 5),
               load(op::kB, 2, kPacket, 9), alu32_k(op::kLsh, 2, 8), alu32(op::kOr, 2, 1)},
              6);
    EXPECT_EQ(found.saved(), 0);
}

// Other memory than packet and stack is seen by others, in order.
TEST(Join, NothingInMapValues) {
    auto map = ebpf::maps::create({.type = ebpf::maps::MapType::array,
                                   .key_size = 4,
                                   .value_size = 8,
                                   .max_entries = 1,
                                   .name = "values"});
    ASSERT_TRUE(map);
    ebpf::Program program =
        program_of(Code{ld_map_value(1, 0, 0), load(op::kB, 2, 1, 0), load(op::kB, 0, 1, 1),
                        alu32_k(op::kLsh, 0, 8), alu32(op::kOr, 0, 2), exit_insn()});
    program.maps = {*map};
    const auto proof = ebpf::verifier::verify(program, {});
    ASSERT_TRUE(proof) << proof.error().message;
    const auto lowered = ebpf::lowering::lower(program, *proof);
    ASSERT_TRUE(lowered);
    EXPECT_EQ(accesses(lowered->functions.back().insns), 2);
}

// Straight code of the kinds that are joined, and some that end a piece.
class RandomCode {
  public:
    explicit RandomCode(std::uint64_t seed) : random_(seed) {}

    Code body() {
        Code code;
        for (int unit = 0; unit < 8; unit++) {
            switch (below(6)) {
                case 0:
                    code = Code{code, gathered()};
                    break;
                case 1:
                case 2:
                    code = Code{code, copied()};
                    break;
                case 3:
                    code = Code{code, one_more(), one_more(), one_more()};
                    break;
                default:
                    code = Code{code, one_more()};
                    break;
            }
        }
        return code;
    }

  private:
    int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

    int scalar() { return kScalars[static_cast<std::size_t>(below(kScalars.size()))]; }

    int base() {
        return std::array{kPacket, kPacket, kPacket, kAlias,
                          kStack}[static_cast<std::size_t>(below(5))];
    }

    int offset(int of, int size) {
        const int at = below((of == kAlias ? kHeaderBytes - 8 : kHeaderBytes) - size + 1);
        return of == kStack ? at / size * size - kStackBytes : at;  // the stack wants it aligned
    }

    Code gathered() {
        const int from = base();
        const int bytes = std::array{2, 4, 8}[static_cast<std::size_t>(below(3))];
        const int at = offset(from, 8);
        const int to = scalar();
        int part = scalar();
        while (part == to) {
            part = scalar();
        }
        Code code = {load(op::kB, to, from, at)};
        for (int i = 1; i < bytes; i++) {
            code = Code{code, load(op::kB, part, from, at + i), alu_k(op::kLsh, part, 8 * i),
                        alu(op::kOr, to, part)};
        }
        return code;
    }

    Code copied() {
        const int from = base();
        const int to = below(3) == 0 ? base() : from;
        const int bytes = 1 + below(12);
        const int source = offset(from, 12);
        const int target = offset(to, 12);
        const bool backward = below(2) == 0;
        Code code;
        std::vector<Insn> stores;
        for (int n = 0; n < bytes; n++) {
            const int i = backward ? bytes - 1 - n : n;
            const int through = scalar();
            code = Code{code, load(op::kB, through, from, source + i)};
            code = Code{code, store(op::kB, to, target + i, through)};
        }
        return code;
    }

    Insn one_more() {
        constexpr std::array kSizes = {op::kB, op::kB, op::kH, op::kW, op::kDw};
        const std::uint8_t size = kSizes[static_cast<std::size_t>(below(kSizes.size()))];
        const int bytes = static_cast<int>(op::access_bytes(size));
        const int at = base();
        switch (below(11)) {
            case 0:
            case 1:
                return load(size, scalar(), at, offset(at, bytes));
            case 2:
            case 3:
                return store(size, at, offset(at, bytes), scalar());
            case 4:
                return store_k(size, at, offset(at, bytes), static_cast<std::int32_t>(random_()));
            case 5:
                return mov_k(scalar(),
                             below(2) == 0 ? below(256) : static_cast<std::int32_t>(random_()));
            case 6:
                return below(2) == 0 ? mov(scalar(), scalar())
                                     : alu32(op::kMov, scalar(), scalar());
            case 7:
                return below(2) == 0
                           ? alu_k(below(2) == 0 ? op::kLsh : op::kRsh, scalar(), 8 * below(8))
                           : alu32_k(below(2) == 0 ? op::kLsh : op::kRsh, scalar(), 8 * below(4));
            case 8:
                return alu_k(
                    op::kAnd, scalar(),
                    std::array{0xff, 0xffff, -256, 0xff00}[static_cast<std::size_t>(below(4))]);
            case 9:
                return below(2) == 0 ? alu(op::kOr, scalar(), scalar())
                                     : alu(op::kXor, scalar(), scalar());
            default:
                return alu_k(op::kAdd, scalar(), below(100));  // ends a piece
        }
    }

    std::mt19937_64 random_;
};

TEST(Join, RandomCodeDoesWhatItDidBefore) {
    const std::uint64_t first = first_seed();
    const std::uint64_t rounds = scaled_rounds(4000);
    Accesses all;
    for (std::uint64_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
        const Accesses one = check(RandomCode(seed).body(), seed);
        all.unjoined += one.unjoined;
        all.joined += one.joined;
    }
    // It would prove nothing if nothing were joined.
    EXPECT_GT(all.saved() * 20, all.unjoined) << all.saved() << " of " << all.unjoined;
}

}  // namespace
}  // namespace crema::test
