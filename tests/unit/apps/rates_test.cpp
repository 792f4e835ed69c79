// SPDX-License-Identifier: BSD-3-Clause
//
// Rates of a statistics document: counters per second, names and sizes as they are, and things that
// come, go or start anew between two documents.
#include "apps/crema/rates.h"

#include <gtest/gtest.h>

namespace crema::command {
namespace {

using nlohmann::ordered_json;

TEST(Rates, CountersBecomeGrowthPerSecondAndTheRestStays) {
    const ordered_json before = {
        {"port", 3}, {"name", "a"}, {"mtu", 1500}, {"xdp", {{"rx_xdp_drop", 100}}}};
    const ordered_json now = {
        {"port", 3}, {"name", "a"}, {"mtu", 1500}, {"xdp", {{"rx_xdp_drop", 350}}}};
    const ordered_json rates = rates_of(before, now, 0.5);
    EXPECT_EQ(rates["port"], 3);
    EXPECT_EQ(rates["name"], "a");
    EXPECT_EQ(rates["mtu"], 1500);
    EXPECT_EQ(rates["xdp"]["rx_xdp_drop"], 500.0);
}

TEST(Rates, ElementsAreFoundByWhatTheyAre) {
    const ordered_json before = {
        {"programs", {{{"id", 1}, {"run_cnt", 10}}, {{"id", 2}, {"run_cnt", 20}}}}};
    const ordered_json now = {
        {"programs", {{{"id", 2}, {"run_cnt", 25}}, {{"id", 3}, {"run_cnt", 7}}}}};
    const ordered_json rates = rates_of(before, now, 1);
    ASSERT_EQ(rates["programs"].size(), 2U);
    EXPECT_EQ(rates["programs"][0]["run_cnt"], 5.0);
    EXPECT_EQ(rates["programs"][1]["run_cnt"], 7.0) << "a new one counts from 0";
}

TEST(Rates, EntriesOfMapsGoByTheirKey) {
    const ordered_json before = {{"entries",
                                  {{{"key", 1}, {"ifindex", 32}, {"packets", 5}},
                                   {{"key", 2}, {"ifindex", 32}, {"packets", 50}}}}};
    const ordered_json now = {{"entries", {{{"key", 2}, {"ifindex", 32}, {"packets", 51}}}}};
    EXPECT_EQ(rates_of(before, now, 1)["entries"][0]["packets"], 1.0);
}

TEST(Rates, WhatCountsFromZeroAgainCountsFromZero) {
    const ordered_json before = {{"entries", {{{"key", 1}, {"packets", 1000}}}}};
    const ordered_json now = {{"entries", {{{"key", 1}, {"packets", 30}}}}};
    EXPECT_EQ(rates_of(before, now, 1)["entries"][0]["packets"], 30.0);
}

TEST(Rates, QueuesHaveNoNameButAPlace) {
    const ordered_json before = {{"queues", {{{"rx_xdp_pass", 1}}, {{"rx_xdp_pass", 2}}}}};
    const ordered_json now = {{"queues", {{{"rx_xdp_pass", 2}}, {{"rx_xdp_pass", 12}}}}};
    const ordered_json rates = rates_of(before, now, 2);
    EXPECT_EQ(rates["queues"][0]["rx_xdp_pass"], 0.5);
    EXPECT_EQ(rates["queues"][1]["rx_xdp_pass"], 5.0);
}

TEST(Rates, DocumentsOfAnotherShapeDoNoHarm) {
    const ordered_json now = {{"ports", {{{"port", 1}, {"xdp", {{"rx_xdp_drop", 4}}}}}},
                              {"nothing", nullptr}};
    for (const ordered_json& before : {ordered_json(), ordered_json(7), ordered_json{{"ports", 9}},
                                       ordered_json{{"ports", {7, "x", nullptr}}},
                                       ordered_json{{"ports", {{{"port", 1}, {"xdp", "none"}}}}}}) {
        EXPECT_EQ(rates_of(before, now, 1)["ports"][0]["xdp"]["rx_xdp_drop"], 4.0);
    }
}

}  // namespace
}  // namespace crema::command
