// SPDX-License-Identifier: BSD-3-Clause
//
// The comparison is worth something only when it fails: these tests change one byte, one verdict,
// one map value, one length on purpose, in what a real run gave, and expect to be told which.
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/conformance/conformance.h"

namespace crema::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A Crema machine that lies about one packet.
class LyingMachine : public Machine {
  public:
    LyingMachine(std::unique_ptr<Machine> honest,
                 std::size_t packet,
                 std::function<void(Outcome&)> lie,
                 std::function<void(MapState&)> map_lie)
        : honest_(std::move(honest)),
          packet_(packet),
          lie_(std::move(lie)),
          map_lie_(std::move(map_lie)) {}

    Status update(const MapUpdate& update) override { return honest_->update(update); }

    Outcome run(const Bytes& packet, std::uint32_t ingress_ifindex) override {
        Outcome outcome = honest_->run(packet, ingress_ifindex);
        if (run_++ == packet_ && lie_) {
            lie_(outcome);
        }
        return outcome;
    }

    MapState maps() override {
        MapState state = honest_->maps();
        if (run_ == packet_ + 1 && map_lie_) {
            map_lie_(state);
        }
        return state;
    }

  private:
    std::unique_ptr<Machine> honest_;
    std::size_t packet_;
    std::size_t run_ = 0;
    std::function<void(Outcome&)> lie_;
    std::function<void(MapState&)> map_lie_;
};

class Comparison : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    }

    /// Differences between an honest run of `object` and one with a lie about packet 0.
    static std::vector<std::string> found(const std::string& object,
                                          std::function<void(Outcome&)> lie,
                                          std::function<void(MapState&)> map_lie = {}) {
        for (const Subject& subject : subjects()) {
            if (subject.object != object) {
                continue;
            }
            const std::string path = object_path(subject, "");
            auto honest = load_into_crema(path, subject.program);
            auto inner = load_into_crema(path, subject.program);
            if (!honest || !inner) {
                return {"does not load: " + (honest ? inner : honest).error().message};
            }
            const auto expected = run_all(std::move(honest), subject);
            const auto got = run_all(std::make_unique<LyingMachine>(
                                         std::move(*inner), 0, std::move(lie), std::move(map_lie)),
                                     subject);
            return differences(*expected, *got);
        }
        return {"no such object"};
    }
};

TEST_F(Comparison, SeesNothingWithoutALie) {
    EXPECT_THAT(found("ssh_mirror", {}), IsEmpty());
    EXPECT_THAT(found("proto_counters", {}), IsEmpty());
}

TEST_F(Comparison, SeesOneByteOfThePacket) {
    EXPECT_THAT(found("ssh_mirror", [](Outcome& outcome) { outcome.bytes.back() ^= 1; }),
                ElementsAre(HasSubstr("bytes should be")));
    EXPECT_THAT(found("pass", [](Outcome& outcome) { outcome.bytes.front() ^= 0x80; }),
                ElementsAre(HasSubstr("bytes should be =, are @0:82")));
}

TEST_F(Comparison, SeesTheLength) {
    EXPECT_THAT(found("pass", [](Outcome& outcome) { outcome.bytes.push_back(0); }),
                ElementsAre(HasSubstr("bytes should be =, are 81: ")));
}

TEST_F(Comparison, SeesTheVerdict) {
    EXPECT_THAT(found("pass", [](Outcome& outcome) { outcome.retval = 1; }),
                ElementsAre(HasSubstr("verdict should be 2, is 1")));
}

TEST_F(Comparison, SeesARefusedRun) {
    EXPECT_THAT(
        found("pass", [](Outcome& outcome) { outcome = {.error = 22, .retval = 0, .bytes = {}}; }),
        testing::Contains(HasSubstr("error should be 0, is 22")));
}

TEST_F(Comparison, SeesOneByteOfAPerCpuValue) {
    const auto lines = found("proto_counters", {}, [](MapState& state) {
        for (auto& [entry, value] : state) {
            if (entry.starts_with("counters[")) {
                value[0] ^= 1;
            }
        }
    });
    ASSERT_FALSE(lines.empty());
    EXPECT_THAT(lines[0], HasSubstr("counters["));
}

TEST_F(Comparison, SeesOneByteOfGlobalData) {
    const auto lines = found("oracle_globals", {},
                             [](MapState& state) { state.at(".data[00000000]").back() ^= 1; });
    ASSERT_FALSE(lines.empty());
    EXPECT_THAT(lines[0], HasSubstr(".data[00000000]"));
}

TEST_F(Comparison, SeesAnEntryThatIsTooMany) {
    const auto lines =
        found("l2fwd", {}, [](MapState& state) { state["tx_port[05000000]"] = "01000000"; });
    ASSERT_FALSE(lines.empty());
    EXPECT_THAT(lines[0], HasSubstr("tx_port[05000000] should not change, but became 01000000"));
}

TEST_F(Comparison, SeesAnEntryThatIsMissing) {
    const auto lines =
        found("l2fwd", {}, [](MapState& state) { state.erase("tx_port[01000000]"); });
    ASSERT_FALSE(lines.empty());
    EXPECT_THAT(lines[0], HasSubstr("tx_port[01000000]"));
}

TEST_F(Comparison, SeesAValueOnTheWrongCpu) {
    MapState right;
    MapState wrong;
    const Bytes key(4);
    Bytes values(16);
    values[0] = 7;
    add_entry(right, "counters", key, values, 8, true, 0);
    add_entry(wrong, "counters", key, values, 8, true, 1);
    EXPECT_EQ(differences(right, wrong).size(), 2U);
}

TEST(TranscriptText, ReadsBackWhatItWrote) {
    Transcript transcript;
    transcript.machine = "Linux 6.18.0 x86_64";
    transcript.initial = {{"tx_port[01000000]", "02000000"}};
    transcript.steps = {
        {"a packet on 2 wires", 1, 0xfeed, 0, 4294967295U, "@0:ff @9:0011", {{"m[00]", ""}}},
        {"a runt", 2, 1, 22, 0, "", {}},
        {"grown", 3, 2, 0, 2, "3: 010203", {{"m[00]", "01"}, {"m[01] of CPU 1", "02"}}},
    };
    const auto copy = parse_transcript("# comment\n" + to_text(transcript));
    ASSERT_TRUE(copy.has_value()) << copy.error().message;
    EXPECT_EQ(copy->machine, transcript.machine);
    EXPECT_THAT(differences(transcript, *copy), IsEmpty());
}

TEST(TranscriptText, SaysWhichLineIsNoTranscript) {
    EXPECT_THAT(parse_transcript("machine x\nnonsense\n").error().message, HasSubstr("line 2"));
    EXPECT_THAT(parse_transcript("packet a on b input c\n").error().message, HasSubstr("line 1"));
}

}  // namespace
}  // namespace crema::test
