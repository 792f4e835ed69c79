// SPDX-License-Identifier: BSD-3-Clause
//
// Chooses the functions of a program and what each takes, and has their bodies written, callers
// before callees; what nobody calls is left out, because verifiers refuse dead code.
#include "tests/fuzz/generator.h"

#include <algorithm>

#include "tests/fuzz/body.h"
#include "tests/fuzz/function_types.h"
#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {
namespace {

Signature random_signature(Dice& dice) {
    Signature signature;
    for (int n = dice.between(0, 4); n > 0; --n) {
        switch (dice.below(6)) {
            case 0:
                signature.push_back({Kind::context, 0});
                break;
            case 1:
                signature.push_back({Kind::frame, 8 * dice.between(1, 3)});
                break;
            case 2:
                signature.push_back({Kind::map_value, 8 * dice.between(2, 8)});
                break;
            default:
                signature.push_back({Kind::number, 0});
                break;
        }
    }
    return signature;
}

void choose_functions(Workshop& shop) {
    const auto add = [&shop](Signature signature, Role role) {
        shop.signatures.push_back(std::move(signature));
        shop.roles.push_back(role);
    };
    const Features& features = shop.features;
    add({{Kind::context, 0}}, Role::main);
    if (features.functions) {
        for (int n = shop.dice.below(4); n > 0; --n) {
            if (shop.dice.one_in(4)) {
                add(shop.dice.pick(global_shapes()), Role::global);
            } else {
                add(random_signature(shop.dice), Role::function);
            }
        }
    }
    if (features.loop_helper && shop.dice.one_in(3)) {
        add({{Kind::number, 0}, {Kind::frame, 16}}, Role::loop_callback);
    }
    if (features.each_element && shop.dice.one_in(3)) {
        // map, key, value, context
        const int bytes = static_cast<int>(std::min(kArrayBytes, kPercpuBytes));
        add({{Kind::none, 0}, {Kind::constants, 4}, {Kind::map_value, bytes}, {Kind::frame, 16}},
            Role::each_callback);
        add({}, Role::adding_callback);
    }
    shop.used.resize(shop.signatures.size());
}

}  // namespace

ebpf::Program generate(std::uint64_t seed,
                       const Features& features,
                       const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps) {
    Dice dice(seed);
    Workshop shop{.dice = dice, .features = features, .signatures = {}, .roles = {}, .used = {}};
    choose_functions(shop);
    shop.used[0] = true;
    const std::size_t n = shop.signatures.size();
    std::vector<Emitter> functions(n);
    const bool alone = n == 1;
    for (std::size_t i = 0; i < n; ++i) {
        if (!shop.used[i]) {
            continue;
        }
        // At most four of them lie on each other: below 512 bytes together.
        const int words = alone    ? dice.between(2, 40)
                          : i == 0 ? dice.between(2, 16)
                                   : dice.between(2, 10);
        Body body(
            shop, functions[i],
            {.role = shop.roles[i],
             .arguments = shop.signatures[i],
             .frame_bytes = 8 * words,
             .statements = i == 0 ? dice.between(2, dice.one_in(6) ? 40 : 14) : dice.between(1, 6),
             .callees_from = i + 1});
        body.write();
    }
    ebpf::Program program;
    for (std::size_t i = 0; i < n; ++i) {
        if (shop.used[i]) {
            ebpf::Function& function = program.functions.emplace_back();
            function.btf_type = shop.roles[i] == Role::global ? global_type(shop.signatures[i]) : 0;
        }
    }
    program.name = "fuzz";
    program.insns = Emitter::link(functions);
    program.maps = maps;
    program.expected_attach_type = ebpf::kAttachXdp;
    program.gpl_compatible = true;
    return program;
}

}  // namespace crema::test::fuzz
