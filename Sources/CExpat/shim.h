// Expat as Swift can see it.
#pragma once
#include <expat.h>
