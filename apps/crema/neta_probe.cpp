// SPDX-License-Identifier: BSD-3-Clause
//
// crema neta probe: opens a device as --vdev net_neta0,device= would, runs the self-test and says
// what came of each step.
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/crema/neta_self_test.h"
#include "apps/crema/output.h"
#include "apps/crema/verbs.h"

namespace crema::command {
namespace {

constexpr char kChip[] = "neta";

const char* how_text(Step::How how) {
    switch (how) {
        case Step::How::passed:
            return "ok";
        case Step::How::failed:
            return "FAILED";
        case Step::How::skipped:
            break;
    }
    return "skipped";
}

const char* how_key(Step::How how) {
    return how == Step::How::failed ? "failed" : how_text(how);
}

nlohmann::json to_json(const std::string& device, const std::vector<Step>& steps, bool all_passed) {
    nlohmann::json list = nlohmann::json::array();
    for (const Step& step : steps) {
        list.push_back({{"name", step.name}, {"result", how_key(step.how)}, {"what", step.what}});
    }
    return {{"device", device}, {"passed", all_passed}, {"steps", std::move(list)}};
}

}  // namespace

int run_verb(const ProbeOptions& options) {
    const auto device = vfio::open(
        options.device, kChip,
        {.instance = "probe", .wire = options.wire, .engine = {}, .cache = options.cache},
        {.interface = options.vfio, .allow_noiommu = options.allow_noiommu});
    if (!device) {
        say_error(device.error().message);
        return app::kFailed;
    }
    const std::string about = (*device)->describe();
    if (!options.json) {
        print(fmt::format("device: {}\n", about));
    }
    const auto steps = run_self_test(
        **device,
        {.frames = options.frames,
         .rounds = options.rounds,
         .windows = options.keep_windows ? neta::Windows::keep : neta::Windows::open},
        [&options](const Step& step) {
            if (!options.json) {
                print(fmt::format("{:<8} {:<15} {}\n", how_text(step.how), step.name, step.what));
            }
        });
    bool all_passed = true;
    for (const Step& step : steps) {
        all_passed = all_passed && step.how != Step::How::failed;
    }
    if (options.json) {
        print(to_json(about, steps, all_passed).dump() + "\n");
    }
    return all_passed ? app::kDone : app::kFailed;
}

}  // namespace crema::command
