"""Files enter; decoded text, its vocabulary, its ids and the chunks that training reads leave."""
