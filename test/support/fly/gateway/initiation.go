// Who initiates: the static key in a handshake initiation, unwrapped with the gateway's private key as WireGuard's paper (§5.4.2) has it.
// Neighbour: gateway.go asks before it lets an initiation through.
package main

import (
	"crypto/ecdh"
	"crypto/hmac"
	"hash"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/device"
)

const (
	construction    = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
	identifier      = "WireGuard v1 zx2c4 Jason@zx2c4.com"
	ephemeralOffset = 8
	staticOffset    = ephemeralOffset + 32
	staticLength    = 32 + chacha20poly1305.Overhead
)

func initiatorOf(message []byte, private *ecdh.PrivateKey) (device.NoisePublicKey, bool) {
	var key device.NoisePublicKey
	if len(message) < staticOffset+staticLength {
		return key, false
	}
	ephemeral := message[ephemeralOffset:staticOffset]
	peer, err := ecdh.X25519().NewPublicKey(ephemeral)
	if err != nil {
		return key, false
	}
	shared, err := private.ECDH(peer)
	if err != nil {
		return key, false
	}
	chain := digest([]byte(construction))
	transcript := digest(digest(digest(chain, []byte(identifier)), private.PublicKey().Bytes()), ephemeral)
	chain = derive(chain, ephemeral, 1)
	secret := derive(chain, shared, 2)
	cipher, err := chacha20poly1305.New(secret)
	if err != nil {
		return key, false
	}
	plain, err := cipher.Open(nil, make([]byte, chacha20poly1305.NonceSize), message[staticOffset:staticOffset+staticLength], transcript)
	if err != nil {
		return key, false
	}
	copy(key[:], plain)
	return key, true
}

func digest(parts ...[]byte) []byte {
	h, _ := blake2s.New256(nil)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// derive is the nth output of the paper's KDF.
func derive(chain, input []byte, nth byte) []byte {
	secret := mac(chain, input)
	var output []byte
	for i := byte(1); i <= nth; i++ {
		output = mac(secret, append(output, i))
	}
	return output
}

func mac(key, content []byte) []byte {
	h := hmac.New(func() hash.Hash { h, _ := blake2s.New256(nil); return h }, key)
	h.Write(content)
	return h.Sum(nil)
}
