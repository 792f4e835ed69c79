// SPDX-License-Identifier: BSD-3-Clause
//
// Crema as a Machine: the loader, the maps' bpf(2) side and xdp::test_run, as any program of ours
// uses them. No EAL, no packet path, no privileges.
#include <cerrno>

#include "lib/ebpf/loader/object.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/test_run.h"
#include "tests/support/machine.h"
#include "tests/support/whole_object.h"

namespace crema::test {
namespace {

std::uint32_t g_cpu = 0;

class CremaMachine : public Machine {
  public:
    CremaMachine(ebpf::loader::Object object, std::shared_ptr<const ebpf::LoadedProgram> program)
        : object_(std::move(object)), program_(std::move(program)) {}

    [[nodiscard]] const std::shared_ptr<const ebpf::LoadedProgram>& program() const {
        return program_;
    }

    Status update(const MapUpdate& update) override {
        for (const auto& named : object_.maps()) {
            if (canonical_map_name(named.name) == update.map) {
                const int error = named.map->update(update.key.data(), update.value.data(), 0);
                if (error != 0) {
                    return fail(-error, "crema: update of map {} gives {}", update.map, error);
                }
                return {};
            }
        }
        return fail(ENOENT, "crema: no map {} in the object", update.map);
    }

    Outcome run(const Bytes& packet, std::uint32_t ingress_ifindex) override {
        auto result = xdp::test_run(*program_, packet, ingress_ifindex, 1);
        if (!result) {
            return {.error = result.error().code, .retval = 0, .bytes = {}};
        }
        return {.error = 0, .retval = result->retval, .bytes = std::move(result->bytes)};
    }

    MapState maps() override {
        MapState state;
        for (const auto& named : object_.maps()) {
            ebpf::maps::Map& map = *named.map;
            const auto type = static_cast<std::uint32_t>(map.spec().type);
            if (holds_objects(type)) {
                continue;
            }
            const std::string name = canonical_map_name(named.name);
            const bool is_per_cpu = has_percpu_values(type);
            Bytes values(map.user_value_bytes());
            Bytes key(map.spec().key_size);
            Bytes next(key.size());
            const std::uint8_t* at = nullptr;
            for (std::size_t n = 0; n < kEntriesCompared && map.next_key(at, next.data()) == 0;
                 ++n) {
                key = next;
                at = key.data();
                if (map.lookup(key.data(), values.data()) == 0) {
                    add_entry(state, name, key, values, map.spec().value_size, is_per_cpu, g_cpu);
                }
            }
        }
        return state;
    }

    [[nodiscard]] std::uint64_t verified_insns() const override { return program_->verified_insns; }

  private:
    ebpf::loader::Object object_;
    std::shared_ptr<const ebpf::LoadedProgram> program_;
};

class CremaWhole : public WholeObject {
  public:
    explicit CremaWhole(ebpf::loader::Object object) : object_(std::move(object)) {
        for (const auto& judged : object_.judged()) {
            const auto& refusal = judged.judgement.refusal;
            programs_.push_back({.name = judged.name,
                                 .section = judged.section,
                                 .error = refusal ? refusal->code : 0,
                                 .reason = refusal ? refusal->message : std::string(),
                                 .machine = refusal ? nullptr
                                                    : std::make_unique<CremaMachine>(
                                                          object_, judged.judgement.loaded)});
        }
    }

    [[nodiscard]] std::vector<MapShape> map_shapes() const override {
        std::vector<MapShape> shapes;
        for (const auto& named : object_.maps()) {
            const auto& spec = named.map->spec();
            shapes.push_back({.name = canonical_map_name(named.name),
                              .type = static_cast<std::uint32_t>(spec.type),
                              .key_size = spec.key_size,
                              .value_size = spec.value_size,
                              .max_entries = spec.max_entries});
        }
        return shapes;
    }

    [[nodiscard]] Status put_program(const std::string& map,
                                     std::uint32_t slot,
                                     std::size_t index) override {
        const auto target = object_.map(map);
        if (!target) {
            return forward_error(target);
        }
        const auto& machine = static_cast<const CremaMachine&>(*programs_[index].machine);
        const auto fd = ebpf::syscall::ProgramFd::open(machine.program());
        if (!fd) {
            return forward_error(fd);
        }
        const int value = fd->get();
        if (const int error = (*target)->update(&slot, &value, 0); error != 0) {
            return fail(-error, "crema: slot {} of map {}: error {}", slot, map, -error);
        }
        return {};
    }

  private:
    ebpf::loader::Object object_;
};

}  // namespace

Status prepare_crema() {
    g_cpu = pin_to_one_cpu();
    static const xdp::PortOps ops = {
        .mode = "test",
        .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
        .attach_check = [](void*, bool) { return Status(); },
        .frame_bytes_max = [](void*) { return 1518U; },
        .is_up = [](void*) { return false; },
    };
    for (std::uint16_t port = 0; port < kIfindexes; ++port) {
        const auto registered = xdp::register_port(port, ops, nullptr);
        if (!registered) {
            return forward_error(registered);
        }
    }
    return {};
}

LoadedMachine load_into_crema(const std::string& path, const std::string& program) {
    auto object = ebpf::loader::Object::judge(path);
    if (!object) {
        return forward_error(object);
    }
    auto found = object->program(program);
    if (!found) {
        return forward_error(found);
    }
    return std::make_unique<CremaMachine>(std::move(*object), std::move(*found));
}

LoadedWhole load_whole_into_crema(const std::string& path) {
    auto object = ebpf::loader::Object::judge(path);
    if (!object) {
        return forward_error(object);
    }
    return std::make_unique<CremaWhole>(std::move(*object));
}

}  // namespace crema::test
