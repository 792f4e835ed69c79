// SPDX-License-Identifier: BSD-3-Clause
//
// Which wire a specification means. Control path only.
#include "drivers/model/neta/wires/wire.h"

#include <cerrno>

namespace crema::neta::model {

WireResult open_wire(const std::string& spec, const MacAddress& mac) {
    const auto colon = spec.find(':');
    const std::string kind = spec.substr(0, colon);
    const std::string args = colon == std::string::npos ? "" : spec.substr(colon + 1);
    if (kind == "null" || spec.empty()) {
        return open_null_wire(args);
    }
    if (kind == "loop") {
        return open_loop_wire(args);
    }
    if (kind == "pair") {
        return open_pair_wire(args);
    }
    if (kind == "gen") {
        return open_gen_wire(args, mac);
    }
    if (kind == "pcap") {
        return open_pcap_wire(args);
    }
    if (kind == "tap") {
        return open_tap_wire(args);
    }
    if (kind == "packet") {
        return open_packet_wire(args);
    }
    if (kind == "ring" || kind == "memif") {
        return fail(ENOTSUP, "wire={}: {} is not served yet; use pair:, tap: or packet:", spec,
                    kind);
    }
    return fail(EINVAL,
                "wire={}: unknown wire '{}'; want null, loop, pair:NAME, gen[:...], "
                "pcap:IN[:OUT], tap:IFNAME or packet:IFNAME",
                spec, kind);
}

}  // namespace crema::neta::model
