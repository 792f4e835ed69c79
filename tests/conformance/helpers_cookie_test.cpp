// SPDX-License-Identifier: BSD-3-Clause
//
// SYN cookies and dynptrs beside the running kernel. Cookies hang on a secret key, so what is equal
// is the segment size and every error; that our cookies are valid for what they were made for, and
// for nothing else, is tested on our side.
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/helpers/dynptr.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/siphash.h"
#include "tests/support/asm.h"
#include "tests/support/helper_call.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

namespace helpers = ebpf::helpers;

class HelpersOfCookies : public WithKernel {};

constexpr std::uint32_t kTcpAt = 64;

struct Version {
    std::uint32_t gen;
    std::uint32_t check;
    helpers::NativeFunction* native_gen;
    helpers::NativeFunction* native_check;
};

constexpr Version kVersions[] = {
    {204, 206, helpers::tcp_raw_gen_syncookie_ipv4, helpers::tcp_raw_check_syncookie_ipv4},
    {205, 207, helpers::tcp_raw_gen_syncookie_ipv6, helpers::tcp_raw_check_syncookie_ipv6},
};

using Bytes = std::vector<std::uint8_t>;

/// IP header at 0, TCP header with `options` at kTcpAt; 40 bytes of options follow what there is.
Bytes headers(const Bytes& options, std::uint8_t doff) {
    Bytes bytes(kTcpAt + 128, 0);
    for (std::size_t i = 0; i < 40; ++i) {
        bytes[i] = static_cast<std::uint8_t>(i * 11 + 3);
    }
    for (std::size_t i = 0; i < 12; ++i) {
        bytes[kTcpAt + i] = static_cast<std::uint8_t>(i * 7 + 1);
    }
    bytes[kTcpAt + 12] = static_cast<std::uint8_t>(doff << 4);
    std::copy(options.begin(), options.end(), bytes.begin() + kTcpAt + 20);
    return bytes;
}

void same_size(const Version& version, const Bytes& bytes, std::uint64_t length) {
    const HelperCall call{.helper = version.gen,
                          .args = {memory(0), memory(kTcpAt), number(length)},
                          .frame = Bytes(64),
                          .memory = bytes};
    const CallOutcome theirs = call_in_kernel(call);
    const CallOutcome ours = call_native(call, version.native_gen);
    ASSERT_EQ(theirs.error, 0) << theirs.log;
    const bool is_error = static_cast<std::int64_t>(theirs.result) < 0;
    EXPECT_EQ(ours.result >> (is_error ? 0 : 32), theirs.result >> (is_error ? 0 : 32))
        << "doff " << int{bytes[kTcpAt + 12]} / 16 << ", length " << length << "\n  kernel "
        << describe(theirs) << "\n  ours " << describe(ours);
}

TEST_F(HelpersOfCookies, SegmentSizesAreReadAsInTheKernel) {
    const std::vector<Bytes> options = {{},
                                        {0},
                                        {1, 1, 1, 1},
                                        {2, 4, 0x05, 0xb4},
                                        {2, 4, 0, 0},
                                        {2, 4, 0x02, 0x17},
                                        {2, 4, 0x02, 0x18},
                                        {2, 4, 0x05, 0x13},
                                        {2, 4, 0x05, 0x14},
                                        {2, 4, 0x05, 0xa0},
                                        {2, 4, 0xff, 0xff},
                                        {2, 4, 0, 1},
                                        {2, 4, 0x22, 0xec},
                                        {2, 4, 0x22, 0xeb},
                                        {2, 4, 0x04, 0xc4},
                                        {2, 4, 0x04, 0xc3},
                                        {1, 1, 2, 4, 0x05, 0xb4, 0, 0},
                                        {0, 1, 2, 4, 0x05, 0xb4, 1, 1},
                                        {3, 3, 7, 1, 2, 4, 0x05, 0xb4},
                                        {2, 4, 0x05, 0xb4, 2, 4, 0x05, 0x14},
                                        {2, 4, 0x05, 0xb4, 2, 4, 0, 0},
                                        {2, 3, 5, 1},
                                        {2, 1, 5, 1},
                                        {2, 0, 5, 1},
                                        {2, 40, 5, 1},
                                        {1, 1, 1, 2},
                                        {1, 1, 2, 4},
                                        {8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1},
                                        {3},
                                        {2, 6, 0x05, 0xb4, 1, 1, 1, 1}};
    for (const Version& version : kVersions) {
        for (const Bytes& some : options) {
            const auto words = static_cast<std::uint8_t>(5 + (some.size() + 3) / 4);
            same_size(version, headers(some, words), words * 4U);
            same_size(version, headers(some, 15), 60);
        }
        for (const std::uint64_t length : {0U, 1U, 19U, 20U, 21U, 24U, 40U, 60U, 64U}) {
            for (const int doff : {0, 1, 4, 5, 6, 10, 15}) {
                same_size(version, headers({2, 4, 0x05, 0xb4}, static_cast<std::uint8_t>(doff)),
                          length);
            }
        }
    }
}

TEST_F(HelpersOfCookies, OptionsOfNoiseAreReadAsInTheKernel) {
    std::mt19937_64 random(204);
    for (int round = 0; round < 2000; ++round) {
        Bytes options(random() % 41);
        for (std::uint8_t& byte : options) {
            byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 6);
        }
        const auto words = static_cast<std::uint8_t>(5 + (options.size() + 3) / 4);
        same_size(kVersions[round % 2], headers(options, words), words * 4U);
    }
}

std::uint64_t gen(const Version& version, const Bytes& bytes) {
    return version.native_gen(reinterpret_cast<std::uintptr_t>(bytes.data()),
                              reinterpret_cast<std::uintptr_t>(bytes.data() + kTcpAt), 20, 0, 0);
}

std::int64_t check(const Version& version, const Bytes& bytes) {
    return static_cast<std::int64_t>(
        version.native_check(reinterpret_cast<std::uintptr_t>(bytes.data()),
                             reinterpret_cast<std::uintptr_t>(bytes.data() + kTcpAt), 0, 0, 0));
}

TEST(Cookies, AreValidForTheirConnectionAlone) {
    for (const Version& version : kVersions) {
        Bytes bytes = headers({}, 5);
        const std::uint64_t made = gen(version, bytes);
        const std::uint32_t sequence = ntohl([&] {
            std::uint32_t number = 0;
            std::memcpy(&number, bytes.data() + kTcpAt + 4, 4);
            return number;
        }());
        // The client's answer: sequence + 1, cookie + 1 acknowledged.
        const std::uint32_t next = htonl(sequence + 1);
        const std::uint32_t acknowledged = htonl(static_cast<std::uint32_t>(made) + 1);
        std::memcpy(bytes.data() + kTcpAt + 4, &next, 4);
        std::memcpy(bytes.data() + kTcpAt + 8, &acknowledged, 4);
        EXPECT_EQ(check(version, bytes), 0);
        const std::size_t first = version.gen == 204 ? 12 : 8;
        const std::size_t addresses = version.gen == 204 ? 8 : 32;
        int accepted = 0;
        for (std::size_t at = 0; at < kTcpAt + 12; ++at) {
            const bool matters = (at >= first && at < first + addresses) || at >= kTcpAt;
            for (unsigned bit = 0; bit < 8; ++bit) {
                Bytes changed = bytes;
                changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1U << bit));
                const std::int64_t result = check(version, changed);
                ASSERT_TRUE(result == 0 || result == -EACCES);
                if (!matters) {
                    EXPECT_EQ(result, 0) << "byte " << at;
                } else {
                    accepted += result == 0 ? 1 : 0;
                }
            }
        }
        // Of the lowest two bits, three of four values stand for segment sizes; a random cookie
        // passes with probability 4 / 2^24 times 2 / 2^8.
        EXPECT_LE(accepted, 4);
    }
}

TEST_F(HelpersOfCookies, ForeignOnesAreRefused) {
    for (const Version& version : kVersions) {
        const HelperCall call{.helper = version.check,
                              .args = {memory(0), memory(kTcpAt)},
                              .frame = Bytes(64),
                              .memory = headers({}, 5)};
        EXPECT_EQ(call_in_kernel(call), call_native(call, version.native_check));
    }
}

TEST(SipHash, GivesThePublishedValues) {
    const helpers::SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    const std::array<std::uint64_t, 2> words{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    EXPECT_EQ(helpers::SipHash(key).of({}), 0x726fdb47dd0e0e31U);
    EXPECT_EQ(helpers::SipHash(key).of(std::span(words).first(1)), 0x93f5f5799a932462U);
    EXPECT_EQ(helpers::SipHash(key).of(words), 0x3f2acc7f57c29bdbU);
}

/// from_mem, read, write and data with the same range, one after the other.
struct DynptrCase {
    std::uint32_t size;
    std::uint64_t make_flags;
    std::uint64_t offset;
    std::uint32_t length;
    std::uint64_t flags;
};

// Value: four results, then the memory of the dynptr, then what is read into and written from.
constexpr std::uint32_t kDataAt = 32, kOtherAt = kDataAt + 64, kValueBytes = kOtherAt + 64;
using Value = std::array<std::uint8_t, kValueBytes>;

Value first_value() {
    Value value{};
    for (std::size_t i = kDataAt; i < value.size(); ++i) {
        value[i] = static_cast<std::uint8_t>(i);
    }
    return value;
}

Value in_kernel(const DynptrCase& one) {
    const auto keep = [](int slot) {
        return Code{ld_map_value(1, 0, slot * 8), store(op::kDw, 1, 0, 0)};
    };
    const Code dynptr_in_r = {mov(1, 10), add_k(1, -16)};
    const Code code = {ld_map_value(1, 0, kDataAt),
                       mov_k(2, one.size),
                       ld_imm64(3, one.make_flags),
                       mov(4, 10),
                       add_k(4, -16),
                       ebpf::Insn(call(197)),
                       keep(0),
                       ld_map_value(1, 0, kOtherAt),
                       mov_k(2, one.length),
                       mov(3, 10),
                       add_k(3, -16),
                       ld_imm64(4, one.offset),
                       ld_imm64(5, one.flags),
                       ebpf::Insn(call(201)),
                       keep(1),
                       dynptr_in_r,
                       ld_imm64(2, one.offset),
                       ld_map_value(3, 0, kOtherAt + 16),
                       mov_k(4, one.length),
                       ld_imm64(5, one.flags),
                       ebpf::Insn(call(202)),
                       keep(2),
                       dynptr_in_r,
                       ld_imm64(2, one.offset),
                       mov_k(3, one.length),
                       ebpf::Insn(call(203)),
                       jump_k(op::kJeq, 0, 0, 1),
                       mov_k(0, 1),
                       keep(3),
                       mov_k(0, 2),
                       exit_insn()};
    const int map = kernel::create_map({.type = ebpf::maps::MapType::array,
                                        .key_size = 4,
                                        .value_size = kValueBytes,
                                        .max_entries = 1,
                                        .flags = 0,
                                        .name = "value"});
    const std::uint32_t key = 0;
    Value value = first_value();
    EXPECT_EQ(kernel::update(map, &key, value.data(), 0), 0);
    std::string log;
    const int fds[] = {map};
    const int program = kernel::load_xdp(program_of(code), fds, &log);
    EXPECT_GE(program, 0) << log;
    const Bytes packet(64);
    EXPECT_EQ(kernel::test_run(program, packet, 1).error, 0);
    EXPECT_EQ(kernel::lookup(map, &key, value.data()), 0);
    ::close(program);
    ::close(map);
    return value;
}

Value natively(const DynptrCase& one) {
    Value value = first_value();
    helpers::Dynptr dynptr{};
    const auto at = reinterpret_cast<std::uintptr_t>(&dynptr);
    const auto memory_from = reinterpret_cast<std::uintptr_t>(value.data());
    const std::array<std::uint64_t, 4> results = {
        helpers::dynptr_from_mem(memory_from + kDataAt, one.size, one.make_flags, at, 0),
        helpers::dynptr_read(memory_from + kOtherAt, one.length, at, one.offset, one.flags),
        helpers::dynptr_write(at, one.offset, memory_from + kOtherAt + 16, one.length, one.flags),
        helpers::dynptr_data(at, one.offset, one.length, 0, 0) != 0 ? 1ULL : 0ULL};
    std::memcpy(value.data(), results.data(), sizeof results);
    return value;
}

TEST_F(HelpersOfCookies, DynptrsOfMemoryAreTheKernels) {
    for (const std::uint32_t size : {1U, 8U, 63U, 64U}) {
        for (const std::uint64_t make_flags : {0ULL, 1ULL}) {
            for (const std::uint64_t offset : {0ULL, 1ULL, 7ULL, 8ULL, 63ULL, 64ULL, 0xffffffffULL,
                                               0x100000000ULL, 0x100000001ULL, ~0ULL}) {
                for (const std::uint32_t length : {1U, 2U, 8U, 16U, 32U}) {
                    for (const std::uint64_t flags : {0ULL, 1ULL, 0x100000000ULL}) {
                        const DynptrCase one{size, make_flags, offset, length, flags};
                        EXPECT_EQ(natively(one), in_kernel(one))
                            << fmt::format("size {} flags {} offset {:x} length {} flags {}", size,
                                           make_flags, offset, length, flags);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace crema::test
