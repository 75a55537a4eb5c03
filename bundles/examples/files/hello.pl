#!/usr/bin/perl
# hello: answers every request with a greeting. It needs nothing but the perl that Debian always has.
use strict;
use warnings;
use IO::Socket::INET;

my %conf;
open(my $fh, '<', $ARGV[0]) or die "hello: $ARGV[0]: $!\n";
while (<$fh>) { $conf{$1} = $2 if /^\s*(\w+)\s*=\s*(.*?)\s*$/ }
close $fh;

my $server = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $conf{port}, Listen => 16, ReuseAddr => 1
) or die "hello: port $conf{port}: $!\n";
for (2 .. $conf{workers}) { last unless fork }

while (my $client = $server->accept) {
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?\n$/ }
    my $body = "$conf{greeting}\n";
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
    close $client;
}
