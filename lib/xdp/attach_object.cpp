// SPDX-License-Identifier: BSD-3-Clause
//
// The driver argument xdp=: load an object and add its program to those of the port; what attach.h
// cannot do without the loader.
#include <memory>
#include <string>

#include "lib/ebpf/loader/object.h"
#include "lib/xdp/attach.h"

namespace crema::xdp {

Status attach_object(std::uint16_t port_id, const std::string& spec) {
    // OBJECT[:PROGRAM]; a colon that a '/' follows belongs to the path.
    std::string path = spec;
    std::string name;
    const auto colon = spec.rfind(':');
    if (colon != std::string::npos && spec.find('/', colon) == std::string::npos) {
        path = spec.substr(0, colon);
        name = spec.substr(colon + 1);
    }
    const auto object = ebpf::loader::Object::load(path);
    if (!object) {
        return forward_error(object);
    }
    const auto program = object->program(name);
    if (!program) {
        return forward_error(program);
    }

    // The object's maps keep their user as long as the program is attached: without one, arrays of
    // programs would empty themselves.
    struct Held {
        ebpf::loader::Object object;
        std::shared_ptr<const ebpf::LoadedProgram> program;
    };

    const auto held = std::make_shared<const Held>(Held{*object, *program});
    return join(port_id, {held, held->program.get()});
}

}  // namespace crema::xdp
