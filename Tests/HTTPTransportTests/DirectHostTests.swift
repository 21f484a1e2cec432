import TestSupport
import Testing

@testable import HTTPTransport

/// Which hosts no proxy is asked for.
@Suite struct DirectHostTests {
  @Test(
    .promise("CRED-3"),
    arguments: [
      "localhost", "LOCALHOST:9000", "s3.localhost", "localhost.", "127.0.0.1", "127.0.0.1:8333",
      "127.255.255.254",
      "127.1", "[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
      // The services that hand out credentials: EC2, ECS, EKS.
      "169.254.169.254", "169.254.170.2", "169.254.170.23:80", "[fd00:ec2::254]", "[fd00:ec2::23]",
      "[FD00:EC2::254]:80",
      "[fe80::1%25eth0]",
    ])
  func `this machine and the services of its link are asked directly`(authority: String) {
    #expect(DirectHost.contains(authority))
  }

  @Test(arguments: [
    "example.com", "localhost.example.com", "127.example.com", "127.0.0.1.example.com", "10.0.0.1",
    "169.253.1.1",
    "192.168.0.1:9000", "[::2]", "[fd00:ec3::1]", "[2001:db8::1]", "[::ffff:10.0.0.1]", "", ":", "[", "fd00",
  ])
  func `any other host is left to the proxy and to no_proxy`(authority: String) {
    #expect(!DirectHost.contains(authority))
  }

  @Test(.promise("CRED-3"))
  func `a proxy that is set sees nothing of what stays on this machine`() async throws {
    let proxy = try ScriptedServer(answering { "proxy \($0.requestLine)" })
    let target = try ScriptedServer(answering { "target \($0.target)" })
    var configuration = CurlClient.Configuration()
    configuration.proxy = proxy.url
    let client = try CurlClient(configuration)
    // The same handle carries all three: nothing of one request's way is left to the next.
    #expect(try await client.send(HTTPRequest(method: .get, url: target.url + "/a")).text == "target /a")
    #expect(proxy.connectionCount == 0)
    let far = try await client.send(HTTPRequest(method: .get, url: "http://s3.invalid/key"))
    #expect(far.text == "proxy GET http://s3.invalid/key HTTP/1.1")
    #expect(try await client.send(HTTPRequest(method: .get, url: target.url + "/b")).text == "target /b")
    #expect(proxy.connectionCount == 1)
    await client.close()
    for server in [proxy, target] { server.stop() }
  }
}
