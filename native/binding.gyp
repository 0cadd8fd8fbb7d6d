{
  "variables": { "sanitize%": "" },
  "targets": [
    {
      "target_name": "tun_tap_napi",
      "sources": [
        "src/binding.cc",
        "src/bpf.cc",
        "src/bpf_binding.cc",
        "src/carrier.cc",
        "src/datapath.cc",
        "src/endpoint.cc",
        "src/ipsec_mb.cc",
        "src/joiner.cc",
        "src/namespace_socket.cc",
        "src/namespace_socket_binding.cc",
        "src/netlink.cc",
        "src/netlink_binding.cc",
        "src/receive_loop.cc",
        "src/segment_limit_binding.cc",
        "src/send_loop.cc",
        "src/tables.cc",
        "src/tun_queue.cc",
        "src/udp_socket.cc"
      ],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "cflags": ["-O3", "-g", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "cflags_cc": ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-fvisibility-inlines-hidden"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fexceptions"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "ldflags": ["-Wl,-z,relro,-z,now"],
      "conditions": [
        ["sanitize!=''", {
          "cflags": ["-fsanitize=<(sanitize)", "-fno-omit-frame-pointer", "-O1"],
          "cflags!": ["-O3"],
          "ldflags": ["-fsanitize=<(sanitize)"]
        }]
      ]
    }
  ]
}
