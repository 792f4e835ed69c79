// SPDX-License-Identifier: BSD-3-Clause
//
// The index of all registers (hardware page 2.2), line by line: what can be written and read back,
// what ignores writes, what reads 0, and what is no register at all.
#include "drivers/model/neta/register_map.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

enum class Access : std::uint8_t {
    keeps,    // reads back what was written
    ignores,  // writes change nothing
    zero,     // reads 0
};

struct Line {
    std::uint32_t first;
    std::uint32_t last;
    std::uint32_t step;
    Access access;
};

constexpr Line kIndex[] = {
    {0x1400, 0x14dc, 4, Access::keeps},    // RX queues: config to threshold
    {0x14e0, 0x14fc, 4, Access::ignores},  // status
    {0x1500, 0x151c, 4, Access::zero},     // update
    {0x1520, 0x153c, 4, Access::ignores},  // index
    {0x1700, 0x1718, 4, Access::keeps},    // pool sizes, flow control
    {0x17f0, 0x17f0, 4, Access::zero},
    {0x1c00, 0x1cbc, 4, Access::zero},
    {0x1d00, 0x1d6c, 4, Access::keeps},  // hardware forwarding
    {0x2000, 0x2000, 4, Access::keeps},
    {0x2008, 0x2014, 4, Access::keeps},
    {0x2084, 0x2084, 4, Access::keeps},
    {0x2094, 0x2098, 4, Access::ignores},
    {0x20a0, 0x20a0, 4, Access::keeps},
    {0x20c0, 0x20c0, 4, Access::keeps},
    {0x2200, 0x222c, 4, Access::keeps},  // windows
    {0x2280, 0x2294, 4, Access::keeps},
    {0x2400, 0x2440, 4, Access::keeps},  // port, filters, DSCP, VLAN priorities
    {0x2444, 0x2444, 4, Access::ignores},
    {0x244c, 0x2458, 4, Access::keeps},
    {0x2460, 0x246c, 4, Access::zero},
    {0x2470, 0x247c, 4, Access::keeps},
    {0x2484, 0x2488, 4, Access::zero},  // counters at 0
    {0x2494, 0x2494, 4, Access::ignores},
    {0x2498, 0x24a0, 4, Access::keeps},
    {0x24a4, 0x24a4, 4, Access::ignores},
    {0x24bc, 0x24bc, 4, Access::keeps},
    {0x24dc, 0x24ec, 4, Access::keeps},  // old arbiter
    {0x24f4, 0x24f8, 4, Access::keeps},
    {0x2500, 0x2504, 4, Access::keeps},
    {0x2540, 0x254c, 4, Access::keeps},  // CPU maps
    {0x2580, 0x259c, 4, Access::keeps},  // coalescing times
    {0x25a4, 0x25a4, 4, Access::keeps},
    {0x25ac, 0x25ac, 4, Access::keeps},
    {0x25b4, 0x25b8, 4, Access::keeps},
    {0x25bc, 0x25bc, 4, Access::ignores},
    {0x25e4, 0x25e4, 4, Access::keeps},
    {0x260c, 0x267c, 16, Access::zero},
    {0x2684, 0x2684, 4, Access::zero},
    {0x26c0, 0x26c0, 4, Access::zero},
    {0x2700, 0x2770, 16, Access::keeps},  // old token buckets
    {0x2704, 0x2774, 16, Access::keeps},
    {0x2708, 0x2778, 16, Access::keeps},
    {0x2780, 0x2780, 4, Access::zero},
    {0x2c10, 0x2c10, 4, Access::ignores},
    {0x2c14, 0x2c1c, 4, Access::keeps},
    {0x2c24, 0x2c34, 4, Access::keeps},
    {0x2c38, 0x2c40, 4, Access::ignores},
    {0x2c44, 0x2c4c, 4, Access::keeps},
    {0x2c50, 0x2c54, 4, Access::ignores},
    {0x2c58, 0x2c94, 4, Access::keeps},
    {0x2cc0, 0x2cc8, 4, Access::keeps},
    {0x2ccc, 0x2ccc, 4, Access::ignores},
    {0x2cd0, 0x2cd0, 4, Access::zero},
    {0x2e00, 0x2ffc, 4, Access::keeps},
    {0x3000, 0x30fc, 4, Access::zero},   // MIB at 0, and its shadow
    {0x3400, 0x360c, 4, Access::keeps},  // address tables
    {0x3690, 0x36b8, 4, Access::keeps},
    {0x3c00, 0x3c3c, 4, Access::keeps},    // TX queues: base, size
    {0x3c40, 0x3c5c, 4, Access::ignores},  // status
    {0x3c60, 0x3c7c, 4, Access::zero},     // update
    {0x3c80, 0x3cbc, 4, Access::ignores},  // index, sent
    {0x3cc0, 0x3cc4, 4, Access::zero},
    {0x3cf4, 0x3cf4, 4, Access::keeps},
    {0x3cfc, 0x3cfc, 4, Access::zero},
    {0x3d00, 0x3ddc, 4, Access::keeps},  // packet modification
    {0x3e00, 0x3ebc, 4, Access::keeps},  // arbiter and shaper
};

// Registers whose writes do something are tested where that is: here they only have to exist.
constexpr std::uint32_t kDoers[] = {kRxReset,       kSmi,       kUnitCause,    kUnitControl,
                                    kTxqCmd,        kRxqCmd,    kIntrNewCause, kIntrOldCause,
                                    kIntrMiscCause, kGmacCtrl0, kGmacCtrl1,    kGmacCtrl2,
                                    kGmacAutoneg,   kGmacCause, kTxReset};

class ModelRegisterIndex : public ::testing::Test {
  protected:
    // Each on a port of its own: what one does must not change another.
    static void expect(std::uint32_t offset, Access access) {
        const Port port(PortOptions{.wire = "null"});
        const std::uint32_t before = port.read(offset);
        port.write(offset, ~before);
        const std::uint32_t after = port.read(offset);
        const std::uint32_t wanted = access == Access::keeps     ? ~before
                                     : access == Access::ignores ? before
                                                                 : 0;
        EXPECT_EQ(after, wanted) << std::hex << offset;
        EXPECT_EQ(port.device->diagnostics().count(Diagnostic::unknown_register), 0U)
            << std::hex << offset;
    }
};

TEST_F(ModelRegisterIndex, EveryRegisterOfThePageIsWhatThePageSays) {
    for (const Line& line : kIndex) {
        for (std::uint32_t offset = line.first; offset <= line.last; offset += line.step) {
            expect(offset, line.access);
        }
    }
}

TEST_F(ModelRegisterIndex, NothingElseIsARegister) {
    std::vector<bool> known(kRegionBytes / 4);
    for (const Line& line : kIndex) {
        for (std::uint32_t offset = line.first; offset <= line.last; offset += line.step) {
            known[offset / 4] = true;
        }
    }
    for (const std::uint32_t offset : kDoers) {
        known[offset / 4] = true;
    }
    for (std::uint32_t offset = 0; offset < kRegionBytes; offset += 4) {
        EXPECT_EQ(register_kind(offset) != RegisterKind::none, known[offset / 4])
            << std::hex << offset;
    }
}

}  // namespace
}  // namespace crema::neta::model
