# Sends echo requests by VXLAN over IPv6, each cut into two fragments after FIRST bytes of UDP (a multiple of 8), which only who writes raw packets
# can choose: perl fragments6.pl FROM TO VNI MAC INNER-FROM INNER-TO FIRST COUNT
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);

my ($from, $to, $vni, $mac, $inside, $target, $first, $count) = @ARGV;
my ($source, $destination) = map { inet_pton(AF_INET6, $_) } $from, $to;
socket(my $raw, AF_INET6, SOCK_RAW, 255) or die "socket: $!";    # 255 = IPPROTO_RAW: headers are ours

sub checksum {
  my ($bytes) = @_;
  my $sum = unpack('%32n*', length($bytes) % 2 ? "$bytes\0" : $bytes);
  $sum = ($sum & 0xffff) + ($sum >> 16) for 1 .. 2;
  return ~$sum & 0xffff;
}

sub send_part {
  my ($number, $offset, $more, $part) = @_;
  my $fragment = pack('CCnN', 17, 0, $offset | $more, $number) . $part;    # RFC 8200 §4.5
  my $packet = pack('NnCC', 0x60000000, length($fragment), 44, 64) . $source . $destination . $fragment;
  send($raw, $packet, 0, pack_sockaddr_in6(0, $destination)) or die "send: $!";
}

for my $number (1 .. $count) {
  my $echo = pack('CCnnn', 8, 0, 0, 7, $number) . 'x' x 64;
  substr($echo, 2, 2) = pack('n', checksum($echo));
  my $ip = pack('CCnnnCCn', 0x45, 0, 20 + length($echo), 0, 0, 64, 1, 0) . inet_aton($inside) . inet_aton($target);
  substr($ip, 10, 2) = pack('n', checksum($ip));
  my $ethernet = pack('H12H12n', $mac =~ tr/://dr, '060000000001', 0x0800) . $ip . $echo;
  my $udp = pack('nnnnNN', 40000, 4789, 16 + length($ethernet), 0, 0x08000000, $vni << 8) . $ethernet;
  substr($udp, 6, 2) = pack('n', checksum($source . $destination . pack('NN', length($udp), 17) . $udp));
  send_part($number, 0, 1, substr($udp, 0, $first));
  send_part($number, $first, 0, substr($udp, $first));
}
