// SPDX-License-Identifier: BSD-3-Clause
//
// libbpf loads an object or it does not; which program was refused is only in its messages. So a
// load is repeated without the program that was refused, until the rest loads.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "lib/ebpf/loader/elf_file.h"
#include "lib/ebpf/loader/legacy_forms.h"
#include "lib/ebpf/loader/legacy_slots.h"
#include "tests/support/kernel_machine.h"
#include "tests/support/whole_object.h"

namespace crema::test {
namespace {

using ebpf::loader::CurrentForm;
using ebpf::loader::ProgramPlace;

struct Refusal {
    int error;
    std::string reason;
};

using Refusals = std::map<std::string, Refusal>;

/// The line of a message that says why: the last one that is not libbpf's or the statistics.
std::string reason_in(const std::string& message) {
    std::string reason;
    std::string first_of_libbpf;
    for (std::size_t at = 0; at < message.size();) {
        const std::size_t end = std::min(message.find('\n', at), message.size());
        const std::string line = message.substr(at, end - at);
        at = end + 1;
        if (line.starts_with("libbpf:")) {
            first_of_libbpf = first_of_libbpf.empty() ? line : first_of_libbpf;
            continue;
        }
        const bool is_frame = line.empty() || line.starts_with("processed ") ||
                              line.starts_with("verification ") || line.starts_with("-- ") ||
                              line.starts_with("stack depth ");
        if (!is_frame) {
            reason = line;
        }
    }
    return reason.empty() ? first_of_libbpf : reason;
}

/// "libbpf: prog 'NAME': BPF program load failed": the last NAME; empty if there is none.
std::string refused_program(const std::string& log) {
    constexpr std::string_view kBefore = "prog '", kBehind = "': BPF program load failed";
    const std::size_t end = log.rfind(kBehind);
    const std::size_t begin = end == std::string::npos ? end : log.rfind(kBefore, end);
    return begin == std::string::npos
               ? std::string()
               : log.substr(begin + kBefore.size(), end - begin - kBefore.size());
}

std::string name_of(const std::string& path) {
    const std::string file = path.substr(path.rfind('/') + 1);
    return file.substr(0, file.find('.'));
}

/// A section whose name says no type is XDP here, as for Crema's loader.
void choose_programs(bpf_object* object, const Refusals& refusals) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
            (void)bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
            (void)bpf_program__set_expected_attach_type(program, BPF_XDP);
        }
        if (bpf_program__type(program) != BPF_PROG_TYPE_XDP ||
            refusals.contains(bpf_program__name(program))) {
            (void)bpf_program__set_autoload(program, false);
        }
    }
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        (void)bpf_map__set_pin_path(map, nullptr);
    }
}

class KernelWhole : public WholeObject {
  public:
    KernelWhole(KernelObject object, const Refusals& refusals, bool older_form)
        : object_(std::move(object)) {
        older_form_ = older_form;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object_.get()) {
            const std::string name = bpf_program__name(program);
            const auto refused = refusals.find(name);
            const bool is_refused = refused != refusals.end();
            if (!is_refused && !bpf_program__autoload(program)) {
                continue;
            }
            programs_.push_back({.name = name,
                                 .section = bpf_program__section_name(program),
                                 .error = is_refused ? refused->second.error : 0,
                                 .reason = is_refused ? refused->second.reason : std::string(),
                                 .machine = is_refused ? nullptr
                                                       : std::make_unique<KernelMachine>(
                                                             object_, bpf_program__fd(program))});
        }
    }

    [[nodiscard]] std::vector<MapShape> map_shapes() const override {
        std::vector<MapShape> shapes;
        bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object_.get()) {
            shapes.push_back({.name = canonical_map_name(bpf_map__name(map)),
                              .type = bpf_map__type(map),
                              .key_size = bpf_map__key_size(map),
                              .value_size = bpf_map__value_size(map),
                              .max_entries = bpf_map__max_entries(map)});
        }
        return shapes;
    }

    [[nodiscard]] Status put_program(const std::string& map,
                                     std::uint32_t slot,
                                     std::size_t index) override {
        const bpf_program* const program =
            bpf_object__find_program_by_name(object_.get(), programs_[index].name.c_str());
        return put(map, slot, bpf_program__fd(program));
    }

    /// What iproute2 does behind a load.
    [[nodiscard]] Status fill_legacy_slots(const CurrentForm& form) {
        std::vector<ProgramPlace> places;
        for (const Program& each : programs_) {
            if (each.machine != nullptr) {
                places.push_back({.name = each.name, .section = each.section});
            }
        }
        for (const auto& filled : ebpf::loader::legacy_slots(form.legacy_maps, places)) {
            const int fd = filled.is_program ? bpf_program__fd(bpf_object__find_program_by_name(
                                                   object_.get(), filled.content.c_str()))
                                             : bpf_object__find_map_fd_by_name(
                                                   object_.get(), filled.content.c_str());
            if (auto done = put(filled.map, filled.slot, fd); !done) {
                return done;
            }
        }
        return {};
    }

  private:
    [[nodiscard]] Status put(const std::string& map, std::uint32_t slot, int fd) {
        const int to = bpf_object__find_map_fd_by_name(object_.get(), map.c_str());
        if (bpf_map_update_elem(to, &slot, &fd, BPF_ANY) != 0) {
            return fail(errno, "slot {} of map {}: {}", slot, map, std::strerror(errno));
        }
        return {};
    }

    KernelObject object_;
};

/// How a file is opened: as it is, or in the form that our pre-pass gives it.
struct Opener {
    std::string path;
    CurrentForm form;
    bool older_form = false;

    [[nodiscard]] KernelObject open() const {
        if (!older_form) {
            return {bpf_object__open(path.c_str()), bpf_object__close};
        }
        LIBBPF_OPTS(bpf_object_open_opts, options);
        const std::string name = name_of(path);
        options.object_name = name.c_str();
        return {bpf_object__open_mem(form.bytes.data(), form.bytes.size(), &options),
                bpf_object__close};
    }
};

Result<Opener> opener_of(const std::string& path) {
    Opener opener{.path = path, .form = {}, .older_form = false};
    auto bytes = ebpf::loader::read_object(path);
    if (!bytes) {
        return forward_error(bytes);
    }
    const auto size = bytes->size();
    auto form = ebpf::loader::to_current_form(path, std::move(*bytes));
    if (!form) {
        return forward_error(form);
    }
    if (form->bytes.size() != size) {
        opener.form = std::move(*form);
        // Static programs alone stop libbpf at the load, legacy maps when it opens the file.
        opener.older_form = true;
    }
    return opener;
}

}  // namespace

LoadedWhole load_whole_into_kernel(const std::string& path) {
    const auto opener = opener_of(path);
    if (!opener) {
        return forward_error(opener);
    }
    Refusals refusals;
    for (;;) {
        clear_libbpf_log();
        KernelObject object = opener->open();
        if (object == nullptr) {
            return fail(errno > 0 && errno < 4000 ? errno : ENOEXEC, "{}: {}", path,
                        reason_in(libbpf_log()));
        }
        choose_programs(object.get(), refusals);
        clear_libbpf_log();
        const int error = bpf_object__load(object.get());
        if (error == 0) {
            auto whole =
                std::make_unique<KernelWhole>(std::move(object), refusals, opener->older_form);
            if (whole->programs().empty()) {
                return fail(ENOENT, "{}: no XDP program in it", path);
            }
            if (auto filled = whole->fill_legacy_slots(opener->form); !filled) {
                return fail(filled.error().code, "{}: {}", path, filled.error().message);
            }
            return whole;
        }
        const std::string refused = refused_program(libbpf_log());
        if (refused.empty() || refusals.contains(refused)) {
            return fail(-error, "{}: {}", path, reason_in(libbpf_log()));
        }
        refusals[refused] = {.error = -error, .reason = reason_in(libbpf_log())};
    }
}

}  // namespace crema::test
