// SPDX-License-Identifier: BSD-3-Clause
//
// The link that nobody forces: in-band negotiation, PHY polling, and the PHY behind SMI. Hardware
// page 2.3.3, 2.3.6, 10.7, 10.42; clause 22 and 28 of IEEE 802.3 for the PHY.
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kUp = kGmacStatusLinkUp | kGmacStatus1000 | kGmacStatusFullDuplex;
constexpr std::uint32_t kPause = kGmacStatusRxFlowCtrl | kGmacStatusTxFlowCtrl;

class ModelLink : public ::testing::Test {
  protected:
    ModelLink() : port_(PortOptions{.wire = "null"}) {
        port_.initialise();
        port_.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
        port_.write(kIntrMiscCause, 0);
        port_.write(kGmacCause, 0);
    }

    [[nodiscard]] std::uint32_t read_phy(std::uint32_t reg) const {
        port_.write(kSmi, kSmiOpRead | kSmiReg.of(reg));
        return kSmiData.get(port_.read(kSmi));
    }

    void write_phy(std::uint32_t reg, std::uint32_t value) const {
        port_.write(kSmi, kSmiReg.of(reg) | kSmiData.of(value));
    }

    // 5.6: in band, with AUTONEG bits beside.
    void in_band(std::uint32_t more, bool base_x = false) const {
        port_.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
        if (base_x) {
            port_.write(kGmacCtrl0, port_.read(kGmacCtrl0) | kGmacCtrl0PortType);
        }
        port_.write(kGmacAutoneg, kGmacAutonegForceLinkDown | kGmacAutonegInbandAnEn | more);
        port_.write(kGmacAutoneg, kGmacAutonegInbandAnEn | more);
    }

    Port port_;
};

TEST_F(ModelLink, InBandFollowsThePhy) {
    in_band(kGmacAutonegAnSpeedEn | kGmacAutonegAnDuplexEn);
    EXPECT_EQ(port_.read(kGmacStatus), kUp | kGmacStatusAnComplete | kGmacStatusSync);
    EXPECT_EQ(port_.read(kIntrMiscCause),
              kIntrMiscLinkChange | kIntrMiscPhyStatus | kIntrMiscPcsSync);
    EXPECT_EQ(port_.read(kGmacCause),
              kGmacCauseLinkChange | kGmacCauseAnCompleted | kGmacCauseSyncChange);
    write_phy(9, 0);  // no gigabit
    EXPECT_EQ(port_.read(kGmacStatus) & (kUp | kGmacStatus100),
              kGmacStatusLinkUp | kGmacStatus100 | kGmacStatusFullDuplex);
    write_phy(0, 0x1940);  // powered down: the negotiation has no partner
    EXPECT_EQ(port_.read(kGmacStatus) & (kUp | kGmacStatusAnComplete), 0U);
    EXPECT_EQ(port_.device->diagnostics().total(), 0U);
}

TEST_F(ModelLink, BaseXNegotiatesWithTheWire) {
    write_phy(0, 0x1940);  // no PHY is in the way
    in_band(kGmacAutonegGmiiSpeed | kGmacAutonegFullDuplex | kGmacAutonegAdvPause |
                kGmacAutonegAnFlowCtrlEn,
            true);
    EXPECT_EQ(port_.read(kGmacStatus), kUp | kPause | kGmacStatusAnComplete | kGmacStatusSync);
    in_band(kGmacAutonegGmiiSpeed | kGmacAutonegFullDuplex | kGmacAutonegAnFlowCtrlEn, true);
    EXPECT_EQ(port_.read(kGmacStatus) & kPause, 0U) << "not offered by this end";
    port_.write(kGmacCause, 0);
    port_.write(kGmacAutoneg, port_.read(kGmacAutoneg) | kGmacAutonegRestart);
    EXPECT_EQ(port_.read(kGmacCause), kGmacCauseAnCompleted) << "anew";
    port_.write(kGmacMask, kGmacCauseAnCompleted);
    EXPECT_EQ(port_.read(kGmacCause), kGmacCauseAnCompleted | kGmacCauseSummary);
}

TEST_F(ModelLink, PollingTakesWhatThePhyFound) {
    port_.write(kUnitControl, kUnitControlPhyPolling);
    write_phy(4, 0x0de1);  // pause
    port_.write(kGmacAutoneg,
                kGmacAutonegAnSpeedEn | kGmacAutonegAnDuplexEn | kGmacAutonegAnFlowCtrlEn);
    EXPECT_EQ(port_.read(kGmacStatus), kUp | kPause);
    write_phy(9, 0);
    write_phy(4, 0x0021);  // 10 half
    EXPECT_EQ(port_.read(kGmacStatus), kGmacStatusLinkUp);
    port_.write(kGmacAutoneg, kGmacAutonegGmiiSpeed | kGmacAutonegFullDuplex);
    EXPECT_EQ(port_.read(kGmacStatus), kUp) << "only the link comes from the PHY";
    port_.write(kUnitControl, 0);
    EXPECT_EQ(port_.read(kGmacStatus) & kGmacStatusLinkUp, 0U);
}

TEST_F(ModelLink, ModesChangeWithTheLinkDownOnly) {
    port_.write(kGmacAutoneg, kGmacAutonegForceLinkPass);
    EXPECT_EQ(port_.device->diagnostics().total(), 0U);
    port_.write(kGmacAutoneg, kGmacAutonegForceLinkPass | kGmacAutonegInbandAnEn);
    port_.write(kGmacCtrl2, port_.read(kGmacCtrl2) | kGmacCtrl2InbandAn);
    port_.write(kGmacCtrl0, port_.read(kGmacCtrl0) | kGmacCtrl0PortType);
    EXPECT_EQ(port_.device->diagnostics().count(Diagnostic::mode_with_link), 3U);
}

TEST_F(ModelLink, PhyAgreesOnTheBestOfBoth) {
    const struct {
        std::uint32_t gigabit, other;
        std::uint32_t copper;
    } cases[] = {{0x0300, 0x0de1, 0xac0c}, {0x0100, 0x01e1, 0x8c00}, {0, 0x0de1, 0x6c0c},
                 {0, 0x0c81, 0x4c00},      {0, 0x0061, 0x2c00},      {0, 0x0021, 0x0c00},
                 {0, 0x0001, 0x0000}};

    for (const auto& one : cases) {
        write_phy(9, one.gigabit);
        write_phy(4, one.other);
        EXPECT_EQ(read_phy(17), one.copper) << std::hex << one.gigabit << " " << one.other;
        const bool agreed = one.copper != 0;
        EXPECT_EQ(read_phy(1) & 0x24U, agreed ? 0x24U : 0U);
        EXPECT_EQ(read_phy(5), agreed ? 0x45e1U : 0U);
    }
}

TEST_F(ModelLink, PhyCanBeToldWhatToBe) {
    write_phy(0, 0x2100);
    EXPECT_EQ(read_phy(17), 0x6c00U);
    EXPECT_EQ(read_phy(1) & 0x24U, 0x04U) << "a link without negotiation";
    write_phy(0, 0x2000);
    EXPECT_EQ(read_phy(17), 0x4c00U);
    write_phy(0, 0x0000);
    EXPECT_EQ(read_phy(17), 0x0c00U);
    write_phy(0, 0x0140);
    EXPECT_EQ(read_phy(17), 0U) << "gigabit must be negotiated";
}

TEST_F(ModelLink, PhyBehindSmi) {
    EXPECT_EQ(read_phy(0), 0x1140U);
    EXPECT_EQ(read_phy(1) & 0x24U, 0x24U);  // link, negotiation complete
    EXPECT_EQ(read_phy(17) & 0xec00U, 0xac00U);
    write_phy(0, 0x9940);  // a reset is over at once
    EXPECT_EQ(read_phy(0), 0x1140U);
    write_phy(0, 0x1940);  // powered down
    EXPECT_EQ(read_phy(1) & 0x24U, 0U);
    EXPECT_EQ(read_phy(10), 0U);
    write_phy(22, 2);  // another page: other registers, the same identity
    EXPECT_EQ(read_phy(0), 0U);
    write_phy(21, 0x1070);
    EXPECT_EQ(read_phy(21), 0x1070U);
    EXPECT_EQ(read_phy(2), 0x0141U);
    write_phy(22, 255);  // a page that is not there
    write_phy(21, 1);
    EXPECT_EQ(read_phy(21), 0U);
    EXPECT_EQ(read_phy(22), 255U);
    write_phy(22, 0);
    EXPECT_EQ(read_phy(0), 0x1940U);
    write_phy(0, 0x1340);  // up again, a new negotiation
    EXPECT_EQ(read_phy(0), 0x1140U);
    EXPECT_EQ(read_phy(1) & 0x24U, 0x24U);
}

TEST_F(ModelLink, RegistersOfClause45ReadAsNone) {
    write_phy(13, 3);  // device 3, its registers by number:
    write_phy(14, 22);
    EXPECT_EQ(read_phy(14), 22U) << "the number is still there";
    write_phy(13, 0x4003);
    EXPECT_EQ(read_phy(14), 0U) << "EEE wake errors";
}

TEST_F(ModelLink, SmiAnswersAtOnce) {
    port_.write(kSmi, kSmiOpRead | kSmiReg.of(2) | kSmiPhy.of(0));
    const std::uint32_t value = port_.read(kSmi);
    EXPECT_EQ(value & kSmiBusy, 0U);
    EXPECT_NE(value & kSmiReadValid, 0U);
    EXPECT_EQ(kSmiData.get(value), 0x0141U);
    EXPECT_NE(port_.read(kUnitCause) & kUnitCauseSmiDone, 0U);
    port_.write(kSmi, kSmiOpRead | kSmiReg.of(2) | kSmiPhy.of(9));
    EXPECT_EQ(kSmiData.get(port_.read(kSmi)), 0xffffU) << "no PHY there";
}

}  // namespace
}  // namespace crema::neta::model
