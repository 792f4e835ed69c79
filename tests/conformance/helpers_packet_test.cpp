// SPDX-License-Identifier: BSD-3-Clause
//
// Helpers that move and copy packet bytes, and checksums, against the running kernel: the same call
// must give the same result, frame, metadata and memory, for arguments around every limit.
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "tests/support/helper_call.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

namespace helpers = ebpf::helpers;

std::vector<std::uint8_t> pattern(std::size_t bytes, std::uint8_t first = 1) {
    std::vector<std::uint8_t> row(bytes);
    std::uint8_t next = first;
    for (std::uint8_t& byte : row) {
        byte = next;
        next = static_cast<std::uint8_t>(next * 5 + 3);
    }
    return row;
}

class HelpersOnPackets : public WithKernel {
  protected:
    static void same(const HelperCall& call, helpers::Native native) {
        const CallOutcome theirs = call_in_kernel(call);
        const CallOutcome ours = call_native(call, native);
        EXPECT_EQ(ours, theirs) << describe(call) << "\n  kernel: " << describe(theirs)
                                << "\n  ours: " << describe(ours);
    }
};

constexpr std::uint32_t kFrameSizes[] = {14, 15, 64, 1514, 3520};
constexpr std::int64_t kOffsets[] = {
    INT32_MIN, -70000, -3507, -3506, -3456, -300, -257, -256, -255,  -253,     -252,
    -220,      -217,   -216,  -215,  -212,  -209, -208, -204, -65,   -64,      -52,
    -51,       -50,    -49,   -8,    -5,    -4,   -3,   -1,   0,     1,        2,
    3,         4,      5,     8,     49,    50,   51,   64,   65,    252,      256,
    1999,      2006,   3456,  3457,  3505,  3506, 3507, 4096, 70000, INT32_MAX};

TEST_F(HelpersOnPackets, AdjustAsTheKernelDoes) {
    struct Helper {
        std::uint32_t id;
        helpers::Native native;
    };

    for (const Helper helper :
         {Helper{44, helpers::xdp_adjust_head}, Helper{54, helpers::xdp_adjust_meta},
          Helper{65, helpers::xdp_adjust_tail}}) {
        for (const std::uint32_t bytes : kFrameSizes) {
            for (const std::uint32_t meta : {0U, 4U, 8U, 64U, 212U, 216U}) {
                for (const std::int64_t offset : kOffsets) {
                    same({.helper = helper.id,
                          .args = {context(), signed_number(offset)},
                          .frame = pattern(bytes),
                          .meta_bytes = meta,
                          .memory = {}},
                         helper.native);
                }
            }
        }
    }
}

// In pieces: the kernel's test runs put what does not fit the first page into pages of their own,
// and what the context's data_end leaves out.
TEST_F(HelpersOnPackets, AdjustOfFramesInPiecesAsTheKernelDoes) {
    struct Shape {
        std::uint32_t bytes;
        std::uint32_t linear;
    };

    constexpr std::int64_t kAcross[] = {
        -9000, -8987, -8986, -8000, -5481, -5480, -5479, -4098, -4097, -4096, -2713, -1384,
        -1383, -100,  -87,   -86,   -64,   -51,   -50,   -1,    0,     1,     16,    49,
        50,    51,    86,    87,    2711,  2712,  2713,  3506,  3507,  4032,  4033,  4096};
    for (const Shape& shape : {Shape{9000, 3520},
                               {9000, 64},
                               {3521, 3520},
                               {100, 36},
                               {100, 13},
                               {100, 0},
                               {64, 63},
                               {14, 1},
                               {7616, 3520},
                               {73152, 3520}}) {
        for (const std::uint32_t meta : {0U, 8U, 216U}) {
            for (const std::int64_t offset : kAcross) {
                for (const auto& [id, native] : {std::pair{44U, &helpers::xdp_adjust_head},
                                                 std::pair{54U, &helpers::xdp_adjust_meta},
                                                 std::pair{65U, &helpers::xdp_adjust_tail}}) {
                    same({.helper = id,
                          .args = {context(), signed_number(offset)},
                          .frame = pattern(shape.bytes),
                          .meta_bytes = meta,
                          .memory = {},
                          .linear = shape.linear},
                         native);
                }
            }
        }
    }
}

TEST_F(HelpersOnPackets, BytesOfFramesInPiecesAreCopiedAsTheKernelCopies) {
    struct Shape {
        std::uint32_t bytes;
        std::uint32_t linear;
    };

    for (const Shape& shape : {Shape{12000, 3520}, {9000, 64}, {100, 36}, {100, 0}}) {
        same({.helper = 188,
              .args = {context()},
              .frame = pattern(shape.bytes),
              .memory = {},
              .linear = shape.linear},
             helpers::xdp_get_buff_len);
        for (const std::uint64_t place : {0U, 1U, 35U, 36U, 37U, 63U, 64U, 65U, 99U, 100U, 3519U,
                                          3520U, 7615U, 7616U, 7617U, 9000U}) {
            for (const std::uint64_t length :
                 {1U, 2U, 35U, 36U, 63U, 64U, 100U, 3520U, 4096U, 4097U, 8192U, 9000U, 12000U}) {
                for (const auto& [id, native] : {std::pair{189U, &helpers::xdp_load_bytes},
                                                 std::pair{190U, &helpers::xdp_store_bytes}}) {
                    same({.helper = id,
                          .args = {context(), number(place), memory(3), number(length)},
                          .frame = pattern(shape.bytes),
                          .meta_bytes = 0,
                          .memory = pattern(0x3010, 77),
                          .linear = shape.linear},
                         native);
                }
            }
        }
    }
}

// The offset is an int: upper halves of the register do not count.
TEST_F(HelpersOnPackets, OffsetsAreThirtyTwoBits) {
    for (const std::uint64_t offset : {0xffffffff00000004ULL, 0x100000004ULL, 0x00000000fffffff8ULL,
                                       0x7fffffff80000000ULL, 0x12345678fffffffcULL}) {
        for (const auto& [id, native] :
             {std::pair{44U, &helpers::xdp_adjust_head}, std::pair{54U, &helpers::xdp_adjust_meta},
              std::pair{65U, &helpers::xdp_adjust_tail}}) {
            same({.helper = id,
                  .args = {context(), number(offset)},
                  .frame = pattern(64),
                  .meta_bytes = 8,
                  .memory = {}},
                 native);
        }
    }
}

TEST_F(HelpersOnPackets, LengthCountsTheFrameAlone) {
    for (const std::uint32_t bytes : kFrameSizes) {
        for (const std::uint32_t meta : {0U, 4U}) {
            same({.helper = 188,
                  .args = {context()},
                  .frame = pattern(bytes),
                  .meta_bytes = meta,
                  .memory = {}},
                 helpers::xdp_get_buff_len);
        }
    }
}

TEST_F(HelpersOnPackets, BytesAreCopiedAsTheKernelCopies) {
    constexpr std::uint64_t kPlaces[] = {0,      1,      13,      14,         63,
                                         64,     65,     3519,    3520,       3521,
                                         0xfffe, 0xffff, 0x10000, 0xffffffff, 0x100000002};
    constexpr std::uint64_t kLengths[] = {1, 2, 14, 63, 64, 65, 1514, 3520, 3521, 0xffff, 0x10000};
    for (const std::uint32_t bytes : {14U, 64U, 3520U}) {
        for (const std::uint64_t place : kPlaces) {
            for (const std::uint64_t length : kLengths) {
                for (const auto& [id, native] : {std::pair{189U, &helpers::xdp_load_bytes},
                                                 std::pair{190U, &helpers::xdp_store_bytes}}) {
                    same({.helper = id,
                          .args = {context(), number(place), memory(3), number(length)},
                          .frame = pattern(bytes),
                          .meta_bytes = 0,
                          .memory = pattern(0x10010, 77)},
                         native);
                }
            }
        }
    }
}

TEST_F(HelpersOnPackets, ChecksumDifferencesAreTheKernels) {
    const std::vector<std::uint8_t> zeros(600);
    const std::vector<std::uint8_t> ones(600, 0xff);
    std::vector<std::uint8_t> one_byte(600);
    one_byte[9] = 1;
    const std::vector<std::uint8_t> some = pattern(600);
    // "from" at 1, "to" at 300: neither aligned nor of one parity
    for (const std::vector<std::uint8_t>* bytes :
         std::initializer_list<const std::vector<std::uint8_t>*>{&zeros, &ones, &one_byte, &some}) {
        for (const std::uint64_t from :
             {0U, 1U, 2U, 3U, 4U, 7U, 8U, 20U, 31U, 32U, 33U, 40U, 255U}) {
            for (const std::uint64_t to : {0U, 1U, 2U, 4U, 6U, 8U, 20U, 32U, 64U, 255U, 260U}) {
                for (const std::uint64_t seed :
                     {0ULL, 1ULL, 0xffffULL, 0x10000ULL, 0xfffeffffULL, 0xffffffffULL,
                      0xffff0000ULL, 0x123456789abcdef0ULL}) {
                    same({.helper = 28,
                          .args = {from == 0 ? CallArg{CallArg::Kind::null, 0} : memory(1),
                                   number(from),
                                   to == 0 ? CallArg{CallArg::Kind::null, 0} : memory(300),
                                   number(to), number(seed)},
                          .frame = pattern(64),
                          .meta_bytes = 0,
                          .memory = *bytes},
                         helpers::csum_diff);
                }
            }
        }
    }
}

TEST_F(HelpersOnPackets, ChecksumsOfRandomMemoryAreTheKernels) {
    std::mt19937_64 random(28);
    for (int round = 0; round < 500; ++round) {
        std::vector<std::uint8_t> bytes(4096);
        // sparse and saturated memory meets carries that noise seldom does
        const std::uint64_t kind = random() % 3;
        for (std::uint8_t& byte : bytes) {
            byte = static_cast<std::uint8_t>(kind == 0 ? random() : kind == 1 ? 0xff : 0);
        }
        for (int change = 0; change < 4; ++change) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        }
        const std::uint64_t from = random() % 2000 + 1;
        const std::uint64_t to = random() % 2000 + 1;
        same({.helper = 28,
              .args = {memory(static_cast<std::uint32_t>(random() % 16)), number(from),
                       memory(static_cast<std::uint32_t>(2016 + random() % 16)), number(to),
                       number(random() & (random() % 2 == 0 ? ~0ULL : 0xffULL))},
              .frame = pattern(64),
              .meta_bytes = 0,
              .memory = bytes},
             helpers::csum_diff);
    }
}

}  // namespace
}  // namespace crema::test
