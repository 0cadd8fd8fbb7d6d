# What systemd does for a socket unit: it holds a listening socket, and starts COMMAND with it for each line that it reads.
#
#   perl socket-unit.pl PATH COMMAND…      prints "listening", then the process id of each start and "ended" when that is over
use strict;
use warnings;
use POSIX ();
use Socket;

$| = 1;
$^F = 255;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($socket, sockaddr_un(shift @ARGV)) or die "bind: $!";
listen($socket, 16) or die "listen: $!";
print "listening\n";
while (<STDIN>) {
  my $child = fork;
  if ($child == 0) {
    POSIX::dup2(fileno($socket), 3);
    $ENV{LISTEN_PID} = $$;
    exec @ARGV;
  }
  print "$child\n";
  waitpid $child, 0;
  print "ended\n";
}
